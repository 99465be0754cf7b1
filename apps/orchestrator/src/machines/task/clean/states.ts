import { failureOf } from '@coppice/durable-actor';
import { assign } from 'xstate';
import type { EventObject } from 'xstate';
import * as commands from './commands.ts';
import type { TaskContext } from '../task-context.ts';
import { shortened, taskSetup } from '../task-setup.ts';

/** Adds the failure of a removal to the reason. The end of the task stays as decided. */
const cleaningFailed =
  (what: string) =>
  ({ context, event }: { context: TaskContext; event: EventObject }) => {
    const before = context.reason === null ? '' : `${context.reason}; `;
    return { reason: shortened(`${before}its ${what} could not be removed: ${failureOf(event).error.message}`) };
  };

/** Removes the task's sandbox and worktree. */
export const cleaning = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'cleaning' } },
  initial: 'choosing',
  states: {
    choosing: {
      always: [
        { guard: ({ context }) => context.sandboxOpen, target: 'sandbox' },
        { guard: ({ context }) => context.worktreeOpen, target: 'worktree' },
        { target: '#task.ended' },
      ],
    },
    sandbox: {
      invoke: {
        id: 'removeSandbox',
        src: 'removeSandbox',
        input: ({ context }) => commands.removeSandbox(context),
        onDone: { target: 'choosing', actions: assign({ sandboxOpen: false, retries: 0 }) },
        onError: [
          { guard: 'mayRetry', target: 'sandbox', reenter: true, actions: 'countRetry' },
          // The worktree is kept, since the sandbox may still be running and write to it.
          { target: '#task.ended', actions: assign(cleaningFailed('sandbox')) },
        ],
      },
    },
    worktree: {
      invoke: {
        id: 'removeWorktree',
        src: 'removeWorktree',
        input: ({ context }) => commands.removeWorktree(context),
        onDone: {
          target: 'choosing',
          actions: assign({ worktreeOpen: false, retries: 0, rescue: ({ event }) => event.output.rescue }),
        },
        onError: [
          { guard: 'mayRetry', target: 'worktree', reenter: true, actions: 'countRetry' },
          { target: '#task.ended', actions: assign(cleaningFailed('worktree')) },
        ],
      },
    },
  },
});
