import { failureOf } from '@coppice/durable-actor';
import { assign, enqueueActions } from 'xstate';
import { taskSetup, timeOf } from '../../machines/task/task-setup.ts';
import { orFail } from '../../machines/task/transitions.ts';
import { addUsage } from '../../machines/usage.ts';
import * as commands from './commands.ts';
import * as agent from './decide-next-step.ts';
import * as guards from './guards.ts';

/**
 * The loop of the coding agent. It calls the model, runs the model's tool calls in the sandbox and returns their
 * results, until the model finishes or a limit is reached. Pure functions in this folder make the decisions.
 * Checkpoints save the worktree while the model answers, so they don't delay the agent.
 */
export const loopStates = taskSetup.createStateConfig({
  type: 'parallel',
  states: {
    agent: {
      initial: 'readingInstructions',
      states: {
        readingInstructions: {
          invoke: {
            id: 'readInstructions',
            src: 'tools',
            input: ({ context }) => commands.readInstructions(context),
            onDone: {
              target: 'asking',
              actions: assign(({ context, event }) => ({
                loop: agent.begin(
                  commands.loopOf(context),
                  agent.instructionsOf(event.output.results),
                  commands.assignmentOf(context),
                ),
                retries: 0,
              })),
            },
            // Reading can safely be repeated.
            onError: [
              { guard: guards.mayReadAgain, target: 'readingInstructions', reenter: true, actions: 'countRetry' },
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
            input: ({ context }) => commands.loopTurn(context),
            onDone: {
              target: 'deciding',
              actions: enqueueActions(({ context, event: { output }, enqueue }) => {
                const answered = {
                  usage: addUsage(context.usage, output.usage),
                  modelTurns: context.modelTurns + 1,
                  retries: 0,
                  loop: agent.afterTurn(commands.loopOf(context), output, commands.assignmentOf(context)),
                };
                enqueue.assign(answered);
                enqueue.emit({ type: 'task-turn', context: { ...context, ...answered }, output });
              }),
            },
            onError: [
              {
                guard: guards.executorLost,
                target: 'deciding',
                actions: [
                  'countFailure',
                  assign(({ context, event }) => ({
                    modelTurnsUnknown: context.modelTurnsUnknown + 1,
                    loop: agent.afterTurnLost(commands.loopOf(context), failureOf(event).effectId),
                  })),
                ],
              },
              {
                guard: guards.conversationFailed,
                target: 'deciding',
                actions: [
                  'countFailure',
                  assign(({ context }) => ({
                    loop: agent.withoutSummary(commands.loopOf(context), commands.assignmentOf(context)),
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
            input: ({ context }) => commands.toolCalls(context),
            onDone: {
              target: 'deciding',
              actions: assign(({ context, event: { output } }) => ({
                loop: agent.afterTools(commands.loopOf(context), output.results, commands.assignmentOf(context)),
                unsaved: context.unsaved || commands.mayHaveWritten(output.results),
                retries: 0,
              })),
            },
            onError: [
              {
                guard: guards.callsUnknown,
                target: 'deciding',
                actions: assign(({ context, event }) => {
                  // Only a lost executor's calls are repeated. Calls that failed for another reason would fail again.
                  const mayRepeat = failureOf(event).error.code === 'unknown';
                  const { loopOf, assignmentOf } = commands;
                  return {
                    loop: agent.afterToolsLost(loopOf(context), assignmentOf(context), mayRepeat),
                    unsaved: true,
                  };
                }),
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
        resting: { always: { guard: guards.checkpointDue, target: 'saving' } },
        saving: {
          entry: assign(({ event }) => ({ unsaved: false, savedAtMs: timeOf(event) })),
          invoke: {
            id: 'checkpoint',
            src: 'checkpoint',
            input: ({ context }) => commands.checkpoint(context),
            onDone: 'resting',
            // A failed checkpoint doesn't fail the task. The next tool calls cause the next checkpoint.
            onError: { target: 'resting', actions: assign({ unsaved: true }) },
          },
        },
      },
    },
  },
});
