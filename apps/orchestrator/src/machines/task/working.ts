import { assign } from 'xstate';
import { failureOf } from '@coppice/durable-actor';
import { looping } from './looping.ts';
import type { TaskContext } from './task-context.ts';
import * as orders from './task-orders.ts';
import { taskSetup } from './task-setup.ts';
import { cancelNow, orFail } from './transitions.ts';
import { addUsage } from '../usage.ts';

const isPart = (finishReason: string): boolean => ['length', 'refusal'].includes(finishReason);

/** Reason to fail on a cut answer: half a file may pass a verification that was meant for a whole one. */
const reasonOfPart = (finishReason: string): string =>
  finishReason === 'refusal'
    ? 'the model refused'
    : "the model's answer was cut at its limit of output, so the file would be incomplete";

/** Reason of a timeout. Includes why the current step is being retried, such as the provider's own error message. */
function reasonOfTimeout({ specification, retries, retryReason }: TaskContext): string {
  const reason = `the agent took longer than ${Math.round(specification.timeLimitMs / 1_000)} s`;
  return retries === 0 || retryReason === undefined ? reason : `${reason}; the last failure: ${retryReason}`;
}

/** Runs the agent within its time limit. */
export const working = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'working' } },
  on: cancelNow,
  after: {
    agentTimeLimit: {
      target: 'cleaning',
      actions: {
        type: 'decide',
        params: ({ context }) => ({ end: 'timed-out', reason: reasonOfTimeout(context) }),
      },
    },
  },
  // One child state for each kind of agent.
  initial: 'choosing',
  states: {
    choosing: { always: [{ guard: 'isLoop', target: 'loop' }, { target: 'prompt' }] },
    loop: looping,
    prompt: {
      initial: 'asking',
      states: {
        asking: {
          invoke: {
            id: 'turn',
            src: 'turn',
            input: ({ context }) => orders.promptTurn(context),
            onDone: [
              {
                guard: ({ event }) => isPart(event.output.finishReason),
                target: '#task.cleaning',
                actions: [
                  assign(({ context, event }) => ({
                    usage: addUsage(context.usage, event.output.usage),
                    modelTurns: context.modelTurns + 1,
                  })),
                  {
                    type: 'decide',
                    params: ({ event }) => ({ end: 'failed', reason: reasonOfPart(event.output.finishReason) }),
                  },
                ],
              },
              {
                target: 'writing',
                actions: assign(({ context, event }) => ({
                  content: event.output.text,
                  usage: addUsage(context.usage, event.output.usage),
                  modelTurns: context.modelTurns + 1,
                  retries: 0,
                })),
              },
            ],
            onError: [
              {
                guard: 'turnLost',
                target: 'asking',
                reenter: true,
                actions: [
                  'countFailure',
                  assign(({ context, event }) => ({
                    modelTurnsUnknown: context.modelTurnsUnknown + 1,
                    lostTurns: [...(context.lostTurns ?? []), failureOf(event).effectId],
                  })),
                ],
              },
              ...orFail('asking'),
            ],
          },
        },
        writing: {
          invoke: {
            id: 'write',
            src: 'write',
            input: ({ context }) => orders.writeFile(context),
            onDone: { target: '#task.committing', actions: assign({ content: null }) },
            onError: orFail('writing'),
          },
        },
      },
    },
  },
});
