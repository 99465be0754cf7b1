import { assign } from 'xstate';
import { shorten, taskSetup } from './task-setup.ts';
import { cancelNow, discardNow } from './transitions.ts';

/** A change to protected paths. */
export const awaitingApproval = taskSetup.createStateConfig({
  entry: [
    { type: 'enter', params: { state: 'awaiting-approval' } },
    assign({
      reason: ({ context }) =>
        shorten(
          `changes protected paths: ${context.protectedPaths.filter((path) => !context.approvedPaths.includes(path)).join(', ')}`,
        ),
    }),
    { type: 'tellRun', params: { event: 'task-idle' } },
  ],
  exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
  on: {
    approve: [
      { guard: 'pushesBranch', target: 'pushing', actions: 'approve' },
      { guard: 'mergesByHand', target: 'ready', actions: 'approve' },
      { target: 'landing', actions: 'approve' },
    ],
    reject: {
      target: 'cleaning',
      actions: {
        type: 'decide',
        params: ({ event }) => ({
          end: 'discarded',
          reason: event.reason ?? 'the change was rejected',
          keepBranch: false,
        }),
      },
    },
    ...discardNow,
    ...cancelNow,
  },
});

/** Verified, and to be landed by hand. */
export const ready = taskSetup.createStateConfig({
  entry: [
    { type: 'enter', params: { state: 'ready' } },
    assign({ reason: 'verified; `coppice merge` lands it' }),
    { type: 'tellRun', params: { event: 'task-idle' } },
  ],
  exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
  on: { merge: { target: 'landing' }, ...discardNow, ...cancelNow },
});
