import { assign, enqueueActions } from 'xstate';
import type { Turn } from '../../landing-machine.ts';
import { passed } from '../command-result.ts';
import { taskLimits } from '../task-context.ts';
import type { TaskContext } from '../task-context.ts';
import { shortened, taskSetup } from '../task-setup.ts';
import { cancelAfterStep, cancelNow, orFail } from '../transitions.ts';
import { prepareMerge, verify } from '../verify/commands.ts';
import { mergePrepared, mergeRefusals, reachesUnapproved } from '../verify/merges.ts';
import { orVerifyAnew, treeVerified, verifyFailed } from '../verify/transitions.ts';
import * as commands from './commands.ts';

/**
 * True if the verified merge can land unchanged. The task got the slot without waiting, so the target has most likely
 * not moved. If it has moved, `land` fails and a new merge is made.
 */
const mayStand = ({ context, event }: { context: TaskContext; event: { output: Turn } }): boolean =>
  !event.output.waited &&
  context.merge !== null &&
  (context.specification.verify === false || context.merge.tree === context.verifiedTree);

/**
 * Lands the task while it holds the landing slot. The task merges with the target's tip and verifies again if the merge
 * has another tree. Then it moves the target.
 */
export const landing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'landing' } },
  exit: enqueueActions(({ context, enqueue }) => {
    const { owner, repositoryId, baseBranch, turn } = context;
    if (turn === null) return;
    const id = commands.landingId({ tenant: owner.tenant, repositoryId, branch: baseBranch });
    const release = { type: 'release', turn };
    enqueue({ type: 'notify', params: { kind: 'landing', id, event: release } });
    enqueue.assign({ turn: null });
  }),
  on: cancelAfterStep,
  initial: 'queueing',
  states: {
    queueing: {
      on: cancelNow,
      invoke: {
        id: 'takeTurn',
        src: 'takeTurn',
        input: ({ context }) => commands.takeTurn(context),
        onDone: [
          {
            guard: mayStand,
            target: 'moving',
            actions: assign(({ event }) => ({ turn: event.output.turn, retries: 0 })),
          },
          { target: 'merging', actions: assign(({ event }) => ({ turn: event.output.turn, retries: 0 })) },
        ],
        onError: orFail('queueing'),
      },
    },
    merging: {
      entry: assign({ landingAttempts: ({ context }) => context.landingAttempts + 1 }),
      invoke: {
        id: 'prepareLanding',
        src: 'prepareMerge',
        input: ({ context }) => prepareMerge(context),
        onDone: [
          { guard: 'ending', target: '#task.cleaning' },
          ...mergeRefusals(),
          {
            // The target has moved, so the merge now changes protected paths that nobody has approved.
            guard: ({ context, event }) => reachesUnapproved(context, event.output),
            target: '#task.awaiting-approval',
            actions: assign(({ context, event }) => mergePrepared(context, event.output)),
          },
          {
            guard: ({ event }) => event.output.status === 'merged-in-store' && event.output.checkout !== null,
            target: 'verifying',
            actions: assign(({ context, event }) => mergePrepared(context, event.output)),
          },
          { target: 'moving', actions: assign(({ context, event }) => mergePrepared(context, event.output)) },
        ],
        onError: orFail('merging'),
      },
    },
    verifying: {
      on: cancelNow,
      invoke: {
        id: 'verifyLanding',
        src: 'verify',
        input: ({ context }) => verify(context),
        onDone: [
          {
            guard: ({ event }) => passed(event.output),
            target: 'moving',
            actions: assign(({ context }) => treeVerified(context)),
          },
          { target: '#task.cleaning', actions: assign(({ context, event }) => verifyFailed(context, event.output)) },
        ],
        onError: orVerifyAnew('merging'),
      },
    },
    moving: {
      invoke: {
        id: 'land',
        src: 'land',
        input: ({ context }) => commands.land(context),
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
          {
            guard: ({ context }) => context.landingAttempts < taskLimits.landingAttemptsMax,
            target: 'merging',
            actions: 'stepDone',
          },
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

/** Pushes the task's branch to the origin. The target doesn't move. */
export const pushing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'landing' } },
  on: cancelAfterStep,
  initial: 'branch',
  states: {
    branch: {
      invoke: {
        id: 'pushBranch',
        src: 'pushBranch',
        input: ({ context }) => commands.pushBranch(context),
        onDone: { target: '#task.cleaning', actions: assign({ end: 'branch-pushed', reason: null }) },
        onError: orFail('branch'),
      },
    },
  },
});
