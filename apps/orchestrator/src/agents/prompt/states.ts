import { failureOf } from '@coppice/durable-actor';
import { assign } from 'xstate';
import type { EventObject } from 'xstate';
import { taskLimits } from '../../machines/task/task-context.ts';
import type { TaskContext } from '../../machines/task/task-context.ts';
import { taskSetup } from '../../machines/task/task-setup.ts';
import { orFail } from '../../machines/task/transitions.ts';
import { addUsage } from '../../machines/usage.ts';
import * as commands from './commands.ts';

const isPart = (finishReason: string): boolean => ['length', 'refusal'].includes(finishReason);

/**
 * Reason for a task's failure after a cut-off answer. The answer isn't used, since half a file might pass the
 * verification.
 */
const reasonOfPart = (finishReason: string): string =>
  finishReason === 'refusal'
    ? 'the model refused'
    : "the model's answer was cut at its limit of output, so the file would be incomplete";

/** True if the executor of the model call was lost and the limit allows another call. */
const turnLost = ({ context, event }: { context: TaskContext; event: EventObject }): boolean =>
  failureOf(event).error.code === 'unknown' && context.modelTurnsUnknown + 1 < taskLimits.modelTurnsUnknownMax;

/** Makes one model call and writes its text to the file. */
export const promptStates = taskSetup.createStateConfig({
  initial: 'asking',
  states: {
    asking: {
      invoke: {
        id: 'turn',
        src: 'turn',
        input: ({ context }) => commands.promptTurn(context),
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
            guard: turnLost,
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
        input: ({ context }) => commands.writeFile(context),
        onDone: { target: '#task.committing', actions: assign({ content: null }) },
        onError: orFail('writing'),
      },
    },
  },
});
