import { assign } from 'xstate';
import * as agent from '../../agent/decide-next-step.ts';
import * as orders from './task-orders.ts';
import { effectIdOf, taskSetup, timeOf } from './task-setup.ts';
import { orFail } from './transitions.ts';

/**
 * The coding agent at work: the model is asked, its calls are done in the sandbox, their results are told to it, until it is done or a limit is
 * reached. What follows what is decided by pure functions (`src/agent/`); here it is only ordered. Beside it, what it has written is
 * kept by checkpoints, while the model thinks: they delay nothing.
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
            // Reading again is harmless.
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
                    loop: agent.afterTurnLost(orders.loopOf(context), effectIdOf(event)),
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
            // A checkpoint that fails costs no more than itself; the next one comes with the next calls.
            onError: { target: 'resting', actions: assign({ unsaved: true }) },
          },
        },
      },
    },
  },
});
