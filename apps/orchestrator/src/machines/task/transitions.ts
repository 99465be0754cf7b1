import type { TaskEvent } from './task-setup.ts';

/** Retries the step after a retryable error. Any other error ends the task. */
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

/** Cancels after the result of the current step (invariant 4 of the task machine). */
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
