import { assign } from 'xstate';
import type { Turn } from '../landing-machine.ts';
import { mergePrepared, mergeRefusals, reachesUnapproved } from './merges.ts';
import { taskLimits } from './task-context.ts';
import type { TaskContext } from './task-context.ts';
import * as orders from './task-orders.ts';
import { shortened, taskSetup } from './task-setup.ts';
import { cancelAfterStep, cancelNow, orFail, orVerifyAnew } from './transitions.ts';

const turnTaken = {
  type: 'holdTurn',
  params: ({ event }: { event: { output: Turn } }) => ({ turn: event.output.turn }),
} as const;

/**
 * True if the verified merge can land as it is: the task got the slot without waiting, so the target has most likely not moved. If it has, `land` fails and a
 * new merge is made.
 */
const mayStand = ({ context, event }: { context: TaskContext; event: { output: Turn } }): boolean =>
  !event.output.waited &&
  context.merge !== null &&
  (context.specification.verify === false || context.merge.tree === context.verifiedTree);

/** Lands the task while it holds the landing slot: merges with the target's tip, verifies again if that gives another tree, then moves the target. */
export const landing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'landing' } },
  exit: 'releaseTurn',
  on: cancelAfterStep,
  initial: 'queueing',
  states: {
    queueing: {
      on: cancelNow,
      invoke: {
        id: 'takeTurn',
        src: 'takeTurn',
        input: ({ context }) => orders.takeTurn(context),
        onDone: [
          { guard: mayStand, target: 'moving', actions: turnTaken },
          { target: 'merging', actions: turnTaken },
        ],
        onError: orFail('queueing'),
      },
    },
    merging: {
      entry: assign({ landingAttempts: ({ context }) => context.landingAttempts + 1 }),
      invoke: {
        id: 'prepareLanding',
        src: 'prepareMerge',
        input: ({ context }) => orders.prepareMerge(context),
        onDone: [
          { guard: 'ending', target: '#task.cleaning' },
          ...mergeRefusals(),
          {
            // The target has moved, and the merge now changes protected paths that nobody has approved.
            guard: ({ context, event }) => reachesUnapproved(context, event.output),
            target: '#task.awaiting-approval',
            actions: mergePrepared,
          },
          {
            guard: ({ event }) => event.output.status === 'merged-in-store' && event.output.checkout !== null,
            target: 'verifying',
            actions: mergePrepared,
          },
          { target: 'moving', actions: mergePrepared },
        ],
        onError: orFail('merging'),
      },
    },
    verifying: {
      on: cancelNow,
      invoke: {
        id: 'verifyLanding',
        src: 'verify',
        input: ({ context }) => orders.verify(context),
        onDone: [
          { guard: ({ event }) => orders.passed(event.output), target: 'moving', actions: 'treeVerified' },
          {
            target: '#task.cleaning',
            actions: { type: 'verifyFailed', params: ({ event }) => ({ result: event.output }) },
          },
        ],
        onError: orVerifyAnew('merging'),
      },
    },
    moving: {
      invoke: {
        id: 'land',
        src: 'land',
        input: ({ context }) => orders.land(context),
        onDone: [
          {
            guard: ({ event }) => event.output.status === 'landed',
            target: '#task.cleaning',
            actions: assign(({ event }) => ({
              end: 'merged' as const,
              reason: null,
              landedCommit: event.output.status === 'landed' ? event.output.commit : null,
            })),
          },
          {
            guard: ({ event }) => event.output.status === 'landed-pending',
            target: '#task.cleaning',
            actions: assign(({ event }) =>
              event.output.status === 'landed-pending'
                ? {
                    end: 'landed-pending' as const,
                    reason: shortened(event.output.reason),
                    landedCommit: event.output.commit,
                    finishCommand: event.output.finishCommand,
                  }
                : {},
            ),
          },
          { guard: 'ending', target: '#task.cleaning' },
          { guard: 'mayLandAgain', target: 'merging', actions: 'stepDone' },
          {
            target: '#task.cleaning',
            actions: {
              type: 'decide',
              params: {
                end: 'failed',
                reason: `the target branch moved ${taskLimits.landingAttemptsMax} times while this task was landing`,
              },
            },
          },
        ],
        onError: orFail('moving'),
      },
    },
  },
});

/** Pushes the task's branch to the origin, and nothing else. */
export const pushing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'landing' } },
  on: cancelAfterStep,
  initial: 'branch',
  states: {
    branch: {
      invoke: {
        id: 'pushBranch',
        src: 'pushBranch',
        input: ({ context }) => orders.pushBranch(context),
        onDone: { target: '#task.cleaning', actions: assign({ end: 'branch-pushed', reason: null }) },
        onError: orFail('branch'),
      },
    },
  },
});
