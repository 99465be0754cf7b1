import { assign, enqueueActions, setup } from 'xstate';
import { modelOperations, sandboxOperations, worktreeOperations } from '@coppice/contracts';
import type { TaskEnd, TaskState, TurnOutput, WireError } from '@coppice/contracts';
import { effect, failureOf, ordered } from '@coppice/durable-actor';
import type { Birth, SendParams, Timed } from '@coppice/durable-actor';
import { taskLimits, withFailure } from './task-context.ts';
import type { TaskContext, TaskInput } from './task-context.ts';
import { shorten } from '../shorten.ts';
import type { SetupRequest } from '../setup-machine.ts';
import type { Turn, TurnRequest } from '../landing-machine.ts';

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
  | { type: 'task-turn'; context: TaskContext; output: TurnOutput }
  | { type: 'task-ended'; context: TaskContext };

export const timeOf = (event: unknown): number => (event as Timed).now;
export const shortened = (reason: string): string => shorten(reason, taskLimits.reasonCharactersMax);

/** The cast is needed, since XState can't infer the names of actions inside an action that enqueues them. */
const notifyAction = (params: { kind: string; id: string; event: { type: string; [field: string]: unknown } }) =>
  ({ type: 'notify', params }) as never;

export const taskSetup = setup({
  types: {
    context: {} as TaskContext,
    events: {} as TaskEvent,
    input: {} as Birth<TaskInput>,
    output: {} as { state: TaskEnd },
    emitted: {} as TaskEmitted,
  },
  actors: {
    resolveSetup: effect(worktreeOperations.resolveSetup),
    setup: effect<unknown, SetupRequest>(),
    prepare: effect(worktreeOperations.prepare),
    createSandbox: effect(sandboxOperations.create),
    turn: effect(modelOperations.turn),
    write: effect(sandboxOperations.write),
    tools: effect(sandboxOperations.tools),
    checkpoint: effect(worktreeOperations.checkpoint),
    removeSandbox: effect(sandboxOperations.remove),
    commit: effect(worktreeOperations.commit),
    prepareMerge: effect(worktreeOperations.prepareMerge),
    verify: effect(sandboxOperations.run),
    takeTurn: effect<Turn, TurnRequest>(),
    land: effect(worktreeOperations.land),
    pushBranch: effect(worktreeOperations.pushBranch),
    removeWorktree: effect(worktreeOperations.remove),
  },
  actions: {
    notify: ordered<SendParams>(),
  },
  guards: {
    ending: ({ context }) => context.end !== null,
    mayRetry: ({ context, event }) => failureOf(event).error.retryable && context.retries + 1 < taskLimits.stepTriesMax,
    mergesByHand: ({ context }) => context.specification.merge === 'manual',
    pushesBranch: ({ context }) => context.specification.merge === 'branch',
  },
  delays: { agentTimeLimit: ({ context }) => context.specification.timeLimitMs },
}).extend({
  // A separate `extend`, since an action can only enqueue actions that an earlier setup defines.
  actions: {
    /** Entry action of every state of a task. Records the state and emits it. */
    enter: enqueueActions(({ context, event, enqueue }, params: { state: TaskState }) => {
      const entered = { state: params.state, enteredAtMs: timeOf(event), retries: 0 };
      enqueue.assign(entered);
      enqueue.emit({ type: 'task-state', context: { ...context, ...entered }, from: context.state });
    }),
    /** Notifies the run that this task isn't active, since it waits for the user or has ended. */
    notifyRun: enqueueActions(({ context, enqueue }, params: { event: 'task-idle' | 'task-ended' }) => {
      const { owner, end, reason, usage } = context;
      const event = { type: params.event, taskId: owner.taskId, state: end, reason, usage };
      enqueue(notifyAction({ kind: 'run', id: `${owner.tenant}.${owner.runId}`, event }));
    }),
    countRetry: assign(({ context, event }) => {
      const { error } = failureOf(event);
      return {
        retries: context.retries + 1,
        retryReason: shortened(error.message),
        usage: withFailure(context.usage, error),
      };
    }),
    countFailure: assign(({ context, event }) => ({
      usage: withFailure(context.usage, failureOf(event).error),
    })),
    countVerifyRetry: assign({ verifyRetries: ({ context }) => context.verifyRetries + 1 }),
    stepDone: assign({ retries: 0 }),
    /** Decides how the task ends. Only the first decision counts. */
    decide: assign(
      (
        { context },
        params: { end: TaskEnd; reason?: string | undefined; failure?: WireError; keepBranch?: boolean },
      ) => {
        if (context.end !== null) return {};
        const { end, reason, failure, keepBranch } = params;
        return {
          end,
          reason: reason === undefined ? null : shortened(reason),
          failure: failure ?? null,
          keepBranch: keepBranch ?? false,
        };
      },
    ),
    fail: assign(({ context, event }) => {
      const failure = failureOf(event).error;
      const usage = withFailure(context.usage, failure);
      if (context.end !== null) return { usage };
      const details = (failure.details ?? {}) as { logTail?: string | null; logArtifact?: string | null };
      return {
        end: 'failed' as const,
        reason: shortened(failure.message),
        failure,
        usage,
        logTail: details.logTail ?? context.logTail,
        logArtifact: details.logArtifact ?? context.logArtifact,
      };
    }),
  },
});

export type TaskStateConfig = Parameters<typeof taskSetup.createStateConfig>[0];
