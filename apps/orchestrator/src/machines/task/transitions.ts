import type { TaskEvent } from './task-setup.ts';

/** Transitions that several states share. */

/**
 * A verification without a verdict begins anew with a merge of its own: the command may have changed the tree that it ran on, and what it ran
 * on a second time would prove nothing.
 */
export const orVerifyAnew = (merging: string) =>
  [
    { guard: 'mayVerifyAgain', target: merging, actions: 'countVerifyRetry' },
    { target: '#task.cleaning', actions: 'fail' },
  ] as const;

/** A failure that may pass is tried again in the same step, another ends the task. */
export const orFail = (step: string) =>
  [
    { guard: 'mayRetry', target: step, reenter: true, actions: 'countRetry' },
    { target: '#task.cleaning', actions: 'fail' },
  ] as const;

export const cancelled = {
  type: 'decide',
  params: ({ event }: { event: TaskEvent }) => ({
    end: 'cancelled' as const,
    reason: (event.type === 'cancel' && event.reason) || 'cancelled on request',
  }),
} as const;

/** The result of what is being made is awaited first (invariant 4). */
export const cancelAfterStep = { cancel: { actions: cancelled } } as const;
export const cancelNow = { cancel: { target: '#task.cleaning', actions: cancelled } } as const;
export const discardNow = {
  discard: {
    target: '#task.cleaning',
    actions: {
      type: 'decide',
      params: ({ event }: { event: TaskEvent }) =>
        event.type === 'discard'
          ? { end: 'discarded' as const, reason: event.reason ?? 'discarded on request', keepBranch: event.keepBranch }
          : { end: 'discarded' as const },
    },
  },
} as const;
