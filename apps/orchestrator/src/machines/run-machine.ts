import { assign, emit, enqueueActions, setup } from 'xstate';
import { isTaskEnd, runOperations, taskSuccesses } from '@coppice/contracts';
import type { ModelLimits, RunState, TaskEnd, Usage, WireError } from '@coppice/contracts';
import { effect, failureOf, ordered } from '@coppice/durable-actor';
import type { Birth, SendParams, Timed } from '@coppice/durable-actor';
import { shorten } from './shorten.ts';
import { addUsage, noUsage } from './usage.ts';

/**
 * A run. It ends when all its tasks have ended.
 *
 * Invariants:
 * 1. At most `concurrency` tasks are active. A task that waits for the user isn't active.
 * 2. A task is started once, after every task that it depends on has succeeded. A task that can't be started gets the
 *    reason with `skip`.
 * 3. One transition sends a limited number of messages, so that the actor's value stays within its size limit. The next
 *    messages are sent when a task ends.
 */
export type RunTask = {
  taskId: string;
  name: string;
  /** Positions in the run's list of tasks. */
  dependsOn: number[];
  state: 'waiting' | 'active' | 'idle' | 'skipped' | TaskEnd;
  reason: string | null;
};

export type RunInput = {
  tenant: string;
  runId: string;
  requestId: string;
  /** Hash of the request. It distinguishes a repeated request from a different one with the same id. */
  requestHash: string;
  repository: string;
  baseBranch: string;
  concurrency: number;
  /** Limits for the model calls of all tasks together. Missing in runs stored by earlier versions. */
  modelLimits?: ModelLimits;
  /** Name of the stored object with the specifications of all tasks. */
  specificationArtifact: string;
  tasks: { taskId: string; name: string; dependsOn: number[] }[];
};

export type RunContext = Omit<RunInput, 'tasks'> & {
  tasks: RunTask[];
  /**
   * Usage of the ended tasks that reported it, and the number of these tasks. Missing in runs stored by earlier
   * versions.
   */
  used?: { usage: Usage; tasks: number };
  createdAtMs: number;
  endedAtMs: number | null;
  cancelReason: string | null;
  failure: WireError | null;
  retries: number;
};

export type RunEvent = (
  | { type: 'task-idle'; taskId: string }
  | { type: 'task-ended'; taskId: string; state: TaskEnd; reason: string | null; usage?: Usage }
  | { type: 'cancel'; reason?: string }
) &
  Timed;

export type RunEmitted =
  | { type: 'run-submitted'; context: RunContext }
  | { type: 'run-ended'; context: RunContext; state: RunState };

const runMachineLimits = {
  /** Maximum number of tasks that one transition skips. */
  skipsPerStepMax: 50,
  reasonCharactersMax: 100,
  retriesMax: 10,
  retryDelayMs: 5_000,
} as const;

const allEnded = (tasks: RunTask[]): boolean => tasks.every((task) => isTaskEnd(task.state));

/** Usage of the ended tasks. Undefined if one of them didn't report it, as in earlier versions. */
export function usageOfEnded({ used, tasks }: RunContext): Usage | undefined {
  return used?.tasks === tasks.filter(({ state }) => isTaskEnd(state)).length ? used.usage : undefined;
}

/** Ends of tasks that make the run fail. */
const badEnds: readonly string[] = ['failed', 'timed-out', 'cancelled'] satisfies TaskEnd[];

export function runStateOf(context: RunContext): RunState {
  if (context.failure !== null) return 'failed';
  if (!allEnded(context.tasks)) return 'running';
  if (context.cancelReason !== null) return 'cancelled';
  return context.tasks.some((task) => badEnds.includes(task.state)) ? 'failed' : 'succeeded';
}

/** Selects the tasks to start now, and the tasks that can never start, with reasons. */
export function plan(context: RunContext): { start: number[]; skip: { index: number; reason: string }[] } {
  const start: number[] = [];
  const skip: { index: number; reason: string }[] = [];
  if (context.cancelReason !== null) return { start, skip };
  let places = context.concurrency - context.tasks.filter((task) => task.state === 'active').length;
  for (const [index, task] of context.tasks.entries()) {
    if (task.state !== 'waiting') continue;
    const needed = task.dependsOn.map((position) => context.tasks[position] as RunTask);
    const missing = needed.find((each) => isTaskEnd(each.state) && !taskSuccesses.includes(each.state));
    if (missing !== undefined) {
      if (skip.length < runMachineLimits.skipsPerStepMax) {
        skip.push({ index, reason: `depends on ${missing.name}, which ended as ${missing.state}` });
      }
    } else if (places > 0 && needed.every((each) => taskSuccesses.includes(each.state as TaskEnd))) {
      places--;
      start.push(index);
    }
  }
  return { start, skip };
}

const notifyAction = (params: { kind: string; id: string; event: { type: string; [field: string]: unknown } }) =>
  ({ type: 'notify', params }) as never;

const base = setup({
  types: {
    context: {} as RunContext,
    events: {} as RunEvent,
    input: {} as Birth<RunInput>,
    output: {} as { state: RunState },
    emitted: {} as RunEmitted,
  },
  actors: { createTasks: effect(runOperations.createTasks), cancelTasks: effect(runOperations.cancelTasks) },
  actions: { notify: ordered<SendParams>() },
  guards: {
    allEnded: ({ context }) => allEnded(context.tasks),
    cancelled: ({ context }) => context.cancelReason !== null,
    mayRetry: ({ context }) => context.retries < runMachineLimits.retriesMax,
  },
  delays: { retry: runMachineLimits.retryDelayMs },
}).extend({
  // A separate `extend`, since an action can only enqueue actions that an earlier setup defines.
  actions: {
    schedule: enqueueActions(({ context, enqueue }) => {
      const { start, skip } = plan(context);
      const tasks = [...context.tasks];
      const notifyTask = (index: number, event: { type: string; [field: string]: unknown }) =>
        enqueue(notifyAction({ kind: 'task', id: `${context.tenant}.${context.tasks[index]?.taskId}`, event }));
      for (const index of start) {
        tasks[index] = { ...(tasks[index] as RunTask), state: 'active' };
        notifyTask(index, { type: 'start' });
      }
      for (const { index, reason } of skip) {
        tasks[index] = { ...(tasks[index] as RunTask), state: 'skipped' };
        notifyTask(index, { type: 'skip', reason });
      }
      enqueue.assign({ tasks });
    }),
    record: assign(({ context, event }) => {
      if (event.type !== 'task-ended' && event.type !== 'task-idle') return {};
      const index = context.tasks.findIndex(({ taskId }) => taskId === event.taskId);
      const task = context.tasks[index];
      if (task === undefined || isTaskEnd(task.state)) return {};
      if (event.type === 'task-idle') return { tasks: context.tasks.with(index, { ...task, state: 'idle' }) };
      const reason = event.reason === null ? null : shorten(event.reason, runMachineLimits.reasonCharactersMax);
      const ended = { ...task, state: event.state, reason };
      const tasks = context.tasks.with(index, ended);
      const { used } = context;
      if (used === undefined || event.usage === undefined) return { tasks };
      return { tasks, used: { usage: addUsage(used.usage, event.usage), tasks: used.tasks + 1 } };
    }),
    wantCancel: assign({
      cancelReason: ({ context, event }) =>
        context.cancelReason ?? (event.type === 'cancel' ? (event.reason ?? 'the run was cancelled') : null),
    }),
    countRetry: assign({ retries: ({ context }) => context.retries + 1 }),
    notCreated: assign(({ context, event }) => {
      const failure = failureOf(event).error;
      return {
        failure,
        used: { usage: noUsage, tasks: context.tasks.length },
        tasks: context.tasks.map((task) => ({
          ...task,
          state: 'failed' as const,
          reason: 'the run could not be created',
        })),
      };
    }),
  },
});

export const runMachine = base.createMachine({
  id: 'run',
  context: ({ input: { input, now } }) => ({
    ...input,
    tasks: input.tasks.map((task) => ({ ...task, state: 'waiting' as const, reason: null })),
    used: { usage: noUsage, tasks: 0 },
    createdAtMs: now,
    endedAtMs: null,
    cancelReason: null,
    failure: null,
    retries: 0,
  }),
  initial: 'creating',
  output: ({ context }) => ({ state: runStateOf(context) }),
  on: { 'task-ended': { actions: 'record' }, 'task-idle': { actions: 'record' }, cancel: { actions: 'wantCancel' } },
  states: {
    creating: {
      entry: emit(({ context }) => ({ type: 'run-submitted', context })),
      initial: 'ordering',
      states: {
        ordering: {
          invoke: {
            id: 'createTasks',
            src: 'createTasks',
            input: ({ context: { tenant, runId, specificationArtifact } }) => ({
              tenant,
              runId,
              specificationArtifact,
            }),
            onDone: [{ guard: 'cancelled', target: '#run.cancelling' }, { target: '#run.running' }],
            onError: [
              { guard: 'mayRetry', target: 'retrying', actions: 'countRetry' },
              { target: '#run.ended', actions: 'notCreated' },
            ],
          },
        },
        retrying: { after: { retry: { target: 'ordering' } } },
      },
    },
    running: {
      entry: 'schedule',
      always: { guard: 'allEnded', target: 'ended' },
      on: {
        'task-ended': { actions: ['record', 'schedule'] },
        'task-idle': { actions: ['record', 'schedule'] },
        cancel: { target: 'cancelling', actions: 'wantCancel' },
      },
    },
    cancelling: {
      initial: 'ordering',
      states: {
        ordering: {
          invoke: {
            id: 'cancelTasks',
            src: 'cancelTasks',
            input: ({ context: { tenant, runId, specificationArtifact, cancelReason } }) => ({
              tenant,
              runId,
              specificationArtifact,
              reason: cancelReason ?? '',
            }),
            onDone: { target: '#run.draining' },
            onError: [
              { guard: 'mayRetry', target: 'retrying', actions: 'countRetry' },
              // The run waits until its tasks end by themselves, since it couldn't cancel them.
              { target: '#run.draining' },
            ],
          },
        },
        retrying: { after: { retry: { target: 'ordering' } } },
      },
    },
    draining: { always: { guard: 'allEnded', target: 'ended' } },
    ended: {
      type: 'final',
      entry: [
        assign({ endedAtMs: ({ event }) => (event as Timed).now }),
        emit(({ context }) => ({ type: 'run-ended', context, state: runStateOf(context) })),
      ],
    },
  },
});
