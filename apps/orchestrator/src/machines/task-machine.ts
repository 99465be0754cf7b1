import { assign, emit, enqueueActions, setup } from 'xstate';
import type { z } from 'zod';
import { modelOperations, sandboxOperations, worktreeOperations } from '@coppice/contracts';
import type { CommandResult, TaskEnd, TaskState, WireError } from '@coppice/contracts';
import { effect, ordered } from '@coppice/durable-actor';
import type { Birth, SendParams, Timed } from '@coppice/durable-actor';
import { addUsage, newTask, taskLimits } from './task-context.ts';
import type { TaskContext, TaskInput } from './task-context.ts';
import * as orders from './task-orders.ts';
import type { SetupRequest } from './setup-machine.ts';
import type { TurnRequest } from './landing-machine.ts';

/**
 * The life of a task: waiting → preparing → working → committing → verifying → (awaiting-approval, ready) → landing → cleaning → ended.
 *
 * Invariants:
 * 1. A task ends through `cleaning`, except one that never began; so its sandbox and worktree are removed whatever happens.
 * 2. What lands was verified as exactly the tree that lands: when the target moved meanwhile, the new merge is verified again.
 * 3. Only the holder of the branch's turn lands; the turn is given back on every way out of `landing`.
 * 4. A step that makes something (worktree, sandbox, commit, merge, the branch's move) isn't abandoned by a cancellation: its result is awaited, then cleaned up.
 */
export type TaskEvent = (
  | { type: 'start' }
  | { type: 'skip'; reason: string }
  | { type: 'cancel'; reason?: string }
  | { type: 'approve' }
  | { type: 'reject'; reason?: string }
  | { type: 'merge' }
  | { type: 'discard'; keepBranch: boolean; reason?: string }
) &
  Timed;

export type TaskEmitted =
  | { type: 'task-state'; context: TaskContext; from: TaskState | null }
  | { type: 'task-ended'; context: TaskContext };

const timeOf = (event: unknown): number => (event as Timed).now;
const shorten = (text: string): string => text.slice(0, taskLimits.reasonCharactersMax);

/** XState can't infer the names of actions inside one that enqueues them. */
const told = (params: { kind: string; id: string; event: { type: string; [field: string]: unknown } }) =>
  ({ type: 'tell', params }) as never;

const base = setup({
  types: {} as {
    context: TaskContext;
    events: TaskEvent;
    input: Birth<TaskInput>;
    output: { state: TaskEnd };
    emitted: TaskEmitted;
  },
  actors: {
    resolveSetup: effect(worktreeOperations.resolveSetup),
    setup: effect<unknown, SetupRequest>(),
    prepare: effect(worktreeOperations.prepare),
    createSandbox: effect(sandboxOperations.create),
    turn: effect(modelOperations.turn),
    write: effect(sandboxOperations.write),
    removeSandbox: effect(sandboxOperations.remove),
    commit: effect(worktreeOperations.commit),
    prepareMerge: effect(worktreeOperations.prepareMerge),
    verify: effect(sandboxOperations.run),
    takeTurn: effect<{ turn: string }, TurnRequest>(),
    land: effect(worktreeOperations.land),
    pushBranch: effect(worktreeOperations.pushBranch),
    removeWorktree: effect(worktreeOperations.remove),
  },
  actions: {
    tell: ordered<SendParams>(),
  },
  guards: {
    ending: ({ context }) => context.end !== null,
    mayRetry: ({ context, event }) =>
      (event as unknown as { error: WireError }).error.retryable && context.retries + 1 < taskLimits.stepTriesMax,
    turnLost: ({ context, event }) =>
      (event as unknown as { error: WireError }).error.code === 'unknown' &&
      context.modelTurnsUnknown + 1 < taskLimits.modelTurnsUnknownMax,
    hasSetup: ({ context }) => context.specification.setup !== null,
    hasSandbox: ({ context }) => context.sandboxOpen,
    hasWorktree: ({ context }) => context.worktreeOpen,
    needsApproval: ({ context }) => context.protectedPaths.length > 0 && !context.approved,
    mergesByHand: ({ context }) => context.specification.merge === 'manual',
    pushesBranch: ({ context }) => context.specification.merge === 'branch',
    nothingToVerify: ({ context }) => context.specification.verify === false,
    mayLandAgain: ({ context }) => context.landingAttempts < taskLimits.landingAttemptsMax,
  },
  delays: { agentTimeLimit: ({ context }) => context.specification.timeLimitMs },
}).extend({
  // In a step of its own: XState infers what may be enqueued from what is set up before.
  actions: {
    releaseTurn: enqueueActions(({ context, enqueue }) => {
      if (context.turn === null) return;
      const { owner, repositoryId, baseBranch, turn } = context;
      const id = landingId({ tenant: owner.tenant, repositoryId, branch: baseBranch });
      enqueue(told({ kind: 'landing', id, event: { type: 'release', turn } }));
      enqueue.assign({ turn: null });
    }),
    /** First thing in every state of a task's life. */
    enter: enqueueActions(({ context, event, enqueue }, params: { state: TaskState }) => {
      const entered = { state: params.state, enteredAtMs: timeOf(event), retries: 0 };
      enqueue.assign(entered);
      enqueue.emit({ type: 'task-state', context: { ...context, ...entered }, from: context.state });
    }),
    /** The run counts who is at work: a task that waits for a person isn't. */
    tellRun: enqueueActions(({ context, enqueue }, params: { event: 'task-idle' | 'task-ended' }) => {
      const { owner, end, reason } = context;
      const event = { type: params.event, taskId: owner.taskId, state: end, reason };
      enqueue(told({ kind: 'run', id: `${owner.tenant}.${owner.runId}`, event }));
    }),
    countRetry: assign({ retries: ({ context }) => context.retries + 1 }),
    stepDone: assign({ retries: 0 }),
    /** The first reason to end counts. */
    decide: assign(
      (
        { context },
        params: { end: TaskEnd; reason?: string | undefined; failure?: WireError; keepBranch?: boolean },
      ) => {
        if (context.end !== null) return {};
        const { end, reason, failure, keepBranch } = params;
        return {
          end,
          reason: reason === undefined ? null : shorten(reason),
          failure: failure ?? null,
          keepBranch: keepBranch ?? false,
        };
      },
    ),
    fail: assign(({ context, event }) => {
      if (context.end !== null) return {};
      const failure = (event as unknown as { error: WireError }).error;
      const details = (failure.details ?? {}) as { logTail?: string | null; logArtifact?: string | null };
      return {
        end: 'failed' as const,
        reason: shorten(failure.message),
        failure,
        logTail: details.logTail ?? context.logTail,
        logArtifact: details.logArtifact ?? context.logArtifact,
      };
    }),
    verifyFailed: assign(({ context }, params: { result: CommandResult }) => {
      const reason = orders.verifyFailure(params.result, context.specification.timeLimitMs);
      const end: TaskEnd = params.result.timedOut ? 'timed-out' : 'failed';
      return { end, reason, logTail: orders.logTail(params.result), logArtifact: params.result.logArtifact };
    }),
    holdMerge: assign(({ context }, params: { merge: TaskContext['merge'] }) => ({
      merge: params.merge,
      verifications: context.verifications + 1,
      retries: 0,
    })),
    /** The task ends as decided all the same; what could not be removed is told. */
    cleaningFailed: assign(({ context, event }, params: { what: string }) => {
      const { message } = (event as unknown as { error: WireError }).error;
      return {
        reason: shorten(
          `${context.reason === null ? '' : `${context.reason}; `}its ${params.what} could not be removed: ${message}`,
        ),
      };
    }),
    treeVerified: assign({ verifiedTree: ({ context }) => context.merge?.tree ?? null, retries: 0 }),
  },
});

/** The actor that gives turns at a branch. */
export const landingId = (branch: { tenant: string; repositoryId: string; branch: string }): string =>
  `${branch.tenant}.${orders.branchToken(branch.repositoryId, branch.branch)}`;

/** A failure that may pass is tried again in the same step, another ends the task. */
const orFail = (step: string) =>
  [
    { guard: 'mayRetry', target: step, reenter: true, actions: 'countRetry' },
    { target: '#task.cleaning', actions: 'fail' },
  ] as const;

type MergeDone = { event: { output: z.output<typeof worktreeOperations.prepareMerge.output> } };

/** The ways in which a merge isn't to be had. */
const mergeRefusals = () =>
  [
    {
      guard: ({ event }: MergeDone) => event.output.status === 'conflict',
      target: '#task.cleaning',
      actions: {
        type: 'decide',
        params: ({ context, event }: MergeDone & { context: TaskContext }) => ({
          end: 'failed' as const,
          reason: `conflicts with ${context.baseBranch} in ${event.output.status === 'conflict' ? event.output.paths.join(', ') : ''}`,
        }),
      },
    },
    {
      guard: ({ event }: MergeDone) => event.output.status === 'already-merged',
      target: '#task.cleaning',
      actions: {
        type: 'decide',
        params: ({ context }: { context: TaskContext }) => ({
          end: 'no-changes' as const,
          reason: `${context.baseBranch} holds this change already`,
        }),
      },
    },
  ] as const;

const mergePrepared = {
  type: 'holdMerge',
  params: ({ event }: MergeDone) => ({ merge: event.output.status === 'merged-in-store' ? event.output : null }),
} as const;

const cancelled = {
  type: 'decide',
  params: ({ event }: { event: TaskEvent }) => ({
    end: 'cancelled' as const,
    reason: (event.type === 'cancel' && event.reason) || 'cancelled on request',
  }),
} as const;

/** The result of what is being made is awaited first (invariant 4). */
const cancelAfterStep = { cancel: { actions: cancelled } } as const;
const cancelNow = { cancel: { target: '#task.cleaning', actions: cancelled } } as const;
const discardNow = {
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

export const taskMachine = base.createMachine({
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

    preparing: {
      entry: { type: 'enter', params: { state: 'preparing' } },
      on: cancelAfterStep,
      initial: 'choosing',
      states: {
        choosing: { always: [{ guard: 'hasSetup', target: 'resolvingSetup' }, { target: 'worktree' }] },
        resolvingSetup: {
          invoke: {
            id: 'resolveSetup',
            src: 'resolveSetup',
            input: ({ context }) => orders.resolveSetup(context),
            onDone: [
              { guard: 'ending', target: '#task.cleaning' },
              {
                target: 'setup',
                actions: assign(({ context, event }) => ({
                  baseCommit: event.output.baseCommit,
                  setup: {
                    setupKey: orders.setupRequest(context, event.output).setupKey,
                    inputsHash: event.output.inputsHash,
                  },
                  retries: 0,
                })),
              },
            ],
            onError: orFail('resolvingSetup'),
          },
        },
        setup: {
          on: cancelNow,
          invoke: {
            id: 'setup',
            src: 'setup',
            input: ({ context }) =>
              orders.setupRequest(context, {
                baseCommit: context.baseCommit ?? '',
                inputsHash: context.setup?.inputsHash ?? '',
              }),
            onDone: { target: 'worktree', actions: 'stepDone' },
            onError: orFail('setup'),
          },
        },
        worktree: {
          entry: assign({ worktreeOpen: true }),
          invoke: {
            id: 'prepare',
            src: 'prepare',
            input: ({ context }) => orders.prepare(context),
            onDone: [
              {
                guard: 'ending',
                target: '#task.cleaning',
                actions: assign(({ event }) => ({ node: event.output.node, branch: event.output.branch })),
              },
              {
                target: 'sandbox',
                actions: assign(({ event }) => ({
                  node: event.output.node,
                  branch: event.output.branch,
                  baseCommit: event.output.baseCommit,
                  mounts: event.output.mounts,
                  retries: 0,
                })),
              },
            ],
            onError: orFail('worktree'),
          },
        },
        sandbox: {
          entry: assign({ sandboxOpen: true }),
          invoke: {
            id: 'createSandbox',
            src: 'createSandbox',
            input: ({ context }) => orders.createSandbox(context),
            onDone: [{ guard: 'ending', target: '#task.cleaning' }, { target: '#task.working' }],
            onError: orFail('sandbox'),
          },
        },
      },
    },

    working: {
      entry: { type: 'enter', params: { state: 'working' } },
      on: cancelNow,
      after: {
        agentTimeLimit: {
          target: 'cleaning',
          actions: {
            type: 'decide',
            params: ({ context }) => ({
              end: 'timed-out',
              reason: `the agent took longer than ${Math.round(context.specification.timeLimitMs / 1_000)} s`,
            }),
          },
        },
      },
      // One child state per agent kind.
      initial: 'prompt',
      states: {
        prompt: {
          initial: 'asking',
          states: {
            asking: {
              invoke: {
                id: 'turn',
                src: 'turn',
                input: ({ context }) => orders.promptTurn(context),
                onDone: {
                  target: 'writing',
                  actions: assign(({ context, event }) => ({
                    content: event.output.text,
                    usage: addUsage(context.usage, event.output.usage),
                    modelTurns: context.modelTurns + 1,
                    retries: 0,
                  })),
                },
                onError: [
                  {
                    guard: 'turnLost',
                    target: 'asking',
                    reenter: true,
                    actions: assign({ modelTurnsUnknown: ({ context }) => context.modelTurnsUnknown + 1 }),
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
    },

    committing: {
      entry: { type: 'enter', params: { state: 'committing' } },
      on: cancelAfterStep,
      initial: 'closing',
      states: {
        // Nothing is read from a worktree that something may still write.
        closing: {
          invoke: {
            id: 'closeSandbox',
            src: 'removeSandbox',
            input: ({ context }) => orders.removeSandbox(context),
            onDone: [
              { guard: 'ending', target: '#task.cleaning', actions: assign({ sandboxOpen: false }) },
              { target: 'importing', actions: assign({ sandboxOpen: false, retries: 0 }) },
            ],
            onError: orFail('closing'),
          },
        },
        importing: {
          invoke: {
            id: 'commit',
            src: 'commit',
            input: ({ context }) => orders.commit(context),
            onDone: [
              {
                guard: ({ event }) => event.output.status === 'no-changes',
                target: '#task.cleaning',
                actions: { type: 'decide', params: { end: 'no-changes', reason: 'the agent changed nothing' } },
              },
              {
                target: '#task.verifying',
                actions: assign(({ event }) =>
                  event.output.status === 'committed'
                    ? {
                        commit: event.output.commit,
                        filesChanged: event.output.filesChanged,
                        protectedPaths: event.output.protectedPaths,
                      }
                    : {},
                ),
              },
            ],
            onError: orFail('importing'),
          },
        },
      },
    },

    verifying: {
      entry: { type: 'enter', params: { state: 'verifying' } },
      always: { guard: 'ending', target: 'cleaning' },
      on: cancelAfterStep,
      initial: 'merging',
      states: {
        merging: {
          invoke: {
            id: 'prepareMerge',
            src: 'prepareMerge',
            input: ({ context }) => orders.prepareMerge(context),
            onDone: [
              ...mergeRefusals(),
              { guard: 'nothingToVerify', target: 'decided', actions: mergePrepared },
              { target: 'running', actions: mergePrepared },
            ],
            onError: orFail('merging'),
          },
        },
        running: {
          on: cancelNow,
          invoke: {
            id: 'verify',
            src: 'verify',
            input: ({ context }) => orders.verify(context),
            onDone: [
              { guard: ({ event }) => orders.passed(event.output), target: 'decided', actions: 'treeVerified' },
              {
                target: '#task.cleaning',
                actions: { type: 'verifyFailed', params: ({ event }) => ({ result: event.output }) },
              },
            ],
            onError: orFail('running'),
          },
        },
        decided: {
          always: [
            { guard: 'needsApproval', target: '#task.awaiting-approval' },
            { guard: 'pushesBranch', target: '#task.pushing' },
            { guard: 'mergesByHand', target: '#task.ready' },
            { target: '#task.landing' },
          ],
        },
      },
    },

    'awaiting-approval': {
      entry: [
        { type: 'enter', params: { state: 'awaiting-approval' } },
        assign({ reason: ({ context }) => shorten(`changes protected paths: ${context.protectedPaths.join(', ')}`) }),
        { type: 'tellRun', params: { event: 'task-idle' } },
      ],
      exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
      on: {
        approve: [
          { guard: 'pushesBranch', target: 'pushing', actions: assign({ approved: true }) },
          { guard: 'mergesByHand', target: 'ready', actions: assign({ approved: true }) },
          { target: 'landing', actions: assign({ approved: true }) },
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
    },

    ready: {
      entry: [
        { type: 'enter', params: { state: 'ready' } },
        assign({ reason: 'verified; lands on task.merge' }),
        { type: 'tellRun', params: { event: 'task-idle' } },
      ],
      exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
      on: { merge: { target: 'landing' }, ...discardNow, ...cancelNow },
    },

    landing: {
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
            onDone: { target: 'merging', actions: assign({ turn: ({ event }) => event.output.turn, retries: 0 }) },
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
            onError: orFail('verifying'),
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
                        reason: shorten(event.output.reason),
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
    },

    pushing: {
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
    },

    cleaning: {
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
              // Without its end being certain, the worktree stays: something may still write there.
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
    },

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
        { type: 'tellRun', params: { event: 'task-ended' } },
      ],
    },
  },
});
