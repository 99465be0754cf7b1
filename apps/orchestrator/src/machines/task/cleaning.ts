import { assign } from 'xstate';
import * as orders from './task-orders.ts';
import { taskSetup } from './task-setup.ts';

/** Removes sandbox and worktree, whatever the task's end. */
export const cleaning = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'cleaning' } },
  initial: 'choosing',
  states: {
    choosing: {
      always: [
        { guard: 'hasSandbox', target: 'sandbox' },
        { guard: 'hasWorktree', target: 'worktree' },
        { target: '#task.ended' },
      ],
    },
    sandbox: {
      invoke: {
        id: 'removeSandbox',
        src: 'removeSandbox',
        input: ({ context }) => orders.removeSandbox(context),
        onDone: { target: 'choosing', actions: assign({ sandboxOpen: false, retries: 0 }) },
        onError: [
          { guard: 'mayRetry', target: 'sandbox', reenter: true, actions: 'countRetry' },
          // The worktree is kept, since the sandbox may still be running and write to it.
          { target: '#task.ended', actions: { type: 'cleaningFailed', params: { what: 'sandbox' } } },
        ],
      },
    },
    worktree: {
      invoke: {
        id: 'removeWorktree',
        src: 'removeWorktree',
        input: ({ context }) => orders.removeWorktree(context),
        onDone: {
          target: 'choosing',
          actions: assign({ worktreeOpen: false, retries: 0, rescue: ({ event }) => event.output.rescue }),
        },
        onError: [
          { guard: 'mayRetry', target: 'worktree', reenter: true, actions: 'countRetry' },
          { target: '#task.ended', actions: { type: 'cleaningFailed', params: { what: 'worktree' } } },
        ],
      },
    },
  },
});
