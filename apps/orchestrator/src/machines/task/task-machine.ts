import { emit, enqueueActions } from 'xstate';
import { cleaning } from './clean/states.ts';
import { committing } from './agent/committing.ts';
import { landing, pushing } from './land/states.ts';
import { preparing } from './prepare/states.ts';
import { newTask } from './new-task.ts';
import { taskSetup, timeOf } from './task-setup.ts';
import { cancelled } from './transitions.ts';
import { verifying } from './verify/states.ts';
import { awaitingApproval, ready } from './land/waiting-for-you.ts';
import { working } from './agent/working.ts';

/**
 * The life of a task: waiting → preparing → working → committing → verifying → (awaiting-approval, ready) → landing →
 * cleaning → ended.
 *
 * Invariants:
 * 1. Every task that has started ends through `cleaning`, which removes its sandbox and worktree.
 * 2. The tree that lands is exactly the tree that was verified. If the target has moved and the new merge has another
 *    tree, the new tree is verified.
 * 3. Only the holder of the landing slot lands. Every way out of `landing` releases the slot.
 * 4. A cancellation doesn't interrupt a step that makes something (worktree, sandbox, commit, merge, move of the
 *    branch). The task waits for the step's result and then cleans up.
 */
export const taskMachine = taskSetup.createMachine({
  id: 'task',
  context: ({ input }) => newTask(input.input, input.now),
  initial: 'waiting',
  output: ({ context }) => ({ state: context.end ?? 'failed' }),
  states: {
    waiting: {
      entry: emit(({ context }) => ({ type: 'task-state', context, from: null })),
      on: {
        start: { target: 'preparing' },
        skip: {
          target: 'ended',
          actions: { type: 'decide', params: ({ event }) => ({ end: 'failed', reason: event.reason }) },
        },
        cancel: { target: 'ended', actions: cancelled },
      },
    },
    preparing,
    working,
    committing,
    verifying,
    'awaiting-approval': awaitingApproval,
    ready,
    landing,
    pushing,
    cleaning,
    ended: {
      type: 'final',
      entry: [
        enqueueActions(({ context, event, enqueue }) => {
          const state = context.end ?? 'failed';
          const entered = { state, enteredAtMs: timeOf(event) };
          enqueue.assign(entered);
          enqueue.emit({ type: 'task-state', context: { ...context, ...entered }, from: context.state });
          enqueue.emit({ type: 'task-ended', context: { ...context, ...entered } });
        }),
        { type: 'notifyRun', params: { event: 'task-ended' } },
      ],
    },
  },
});
