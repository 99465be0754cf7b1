import { assign } from 'xstate';
import { failureOf } from '@coppice/durable-actor';
import * as agent from '../../agent/decide-next-step.ts';
import * as orders from './task-orders.ts';
import { taskSetup, timeOf } from './task-setup.ts';
import { orFail } from './transitions.ts';

/**
 * The loop of the coding agent: asks the model, runs its tool calls in the sandbox and returns their results, until the model finishes or a limit is reached.
 * Pure functions in `src/agent/` make the decisions; these states only carry them out. In parallel, checkpoints save the worktree while the model thinks, so
 * they delay nothing.
 */
export const looping = taskSetup.createStateConfig({
  type: 'parallel',
  states: {
    agent: {
      initial: 'readingInstructions',
      states: {
        readingInstructions: {
          invoke: {
            id: 'readInstructions',
            src: 'tools',
            input: ({ context }) => orders.readInstructions(context),
            onDone: {
              target: 'asking',
              actions: assign(({ context, event }) => ({
                loop: agent.begin(
                  orders.loopOf(context),
                  agent.instructionsOf(event.output.results),
                  orders.assignmentOf(context),
                ),
                retries: 0,
              })),
            },
            // Reading can safely be repeated.
            onError: [
              { guard: 'mayReadAgain', target: 'readingInstructions', reenter: true, actions: 'countRetry' },
              ...orFail('readingInstructions'),
            ],
          },
        },
        deciding: {
          always: [
            { guard: ({ context }) => context.loop?.next.do === 'ask', target: 'asking' },
            { guard: ({ context }) => context.loop?.next.do === 'call', target: 'calling' },
            {
              guard: ({ context }) => context.loop?.next.do === 'finish',
              target: '#task.committing',
              actions: assign(({ context }) => ({
                summary: context.loop?.next.do === 'finish' ? context.loop.next.summary : null,
                loop: null,
              })),
            },
            {
              target: '#task.cleaning',
              actions: {
                type: 'decide',
                params: ({ context }) => ({
                  end: 'failed',
                  reason: context.loop?.next.do === 'stop' ? context.loop.next.reason : undefined,
                }),
              },
            },
          ],
        },
        asking: {
          invoke: {
            id: 'loopTurn',
            src: 'turn',
            input: ({ context }) => orders.loopTurn(context),
            onDone: {
              target: 'deciding',
              actions: { type: 'turnAnswered', params: ({ event }) => ({ output: event.output }) },
            },
            onError: [
              {
                guard: 'executorLost',
                target: 'deciding',
                actions: [
                  'countFailure',
                  assign(({ context, event }) => ({
                    modelTurnsUnknown: context.modelTurnsUnknown + 1,
                    loop: agent.afterTurnLost(orders.loopOf(context), failureOf(event).effectId),
                  })),
                ],
              },
              {
                guard: 'conversationFailed',
                target: 'deciding',
                actions: [
                  'countFailure',
                  assign(({ context }) => ({
                    loop: agent.withoutSummary(orders.loopOf(context), orders.assignmentOf(context)),
                    retries: 0,
                  })),
                ],
              },
              ...orFail('asking'),
            ],
          },
        },
        calling: {
          invoke: {
            id: 'tools',
            src: 'tools',
            input: ({ context }) => orders.toolCalls(context),
            onDone: {
              target: 'deciding',
              actions: { type: 'toolsDone', params: ({ event }) => ({ results: event.output.results }) },
            },
            onError: [
              {
                guard: 'callsUnknown',
                target: 'deciding',
                actions: 'toolsLost',
              },
              ...orFail('calling'),
            ],
          },
        },
      },
    },
    checkpoints: {
      initial: 'resting',
      states: {
        resting: { always: { guard: 'checkpointDue', target: 'saving' } },
        saving: {
          entry: assign(({ event }) => ({ unsaved: false, savedAtMs: timeOf(event) })),
          invoke: {
            id: 'checkpoint',
            src: 'checkpoint',
            input: ({ context }) => orders.checkpoint(context),
            onDone: 'resting',
            // A failed checkpoint has no other effect; the next one follows the next tool calls.
            onError: { target: 'resting', actions: assign({ unsaved: true }) },
          },
        },
      },
    },
  },
});
