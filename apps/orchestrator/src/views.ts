import type { RunSummary, RunView, TaskView, Usage } from '@coppice/contracts';
import type { ActorView } from '@coppice/durable-actor';
import { runStateOf, usageOfEnded } from './machines/run-machine.ts';
import type { RunContext } from './machines/run-machine.ts';
import { addUsage } from './machines/usage.ts';
import type { TaskContext } from './machines/task/task-context.ts';

/** Maps actors to the views of the public API. */

const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** The part of a run that its tombstone keeps. It is the whole run. */
export const runSummary = (context: RunContext): RunContext => context;

/** The part of a task that its tombstone keeps. Fields that only the task's work needed are emptied. */
export const taskSummary = (context: TaskContext): TaskContext => ({
  ...context,
  specification: { ...context.specification, prompt: { text: '' }, protect: [] },
  mounts: [],
  content: null,
  loop: null,
  merge: null,
});

/** Returns the context of a run, whether its actor is active or has ended. */
export const runContextOf = (view: ActorView): RunContext => (view.context ?? view.summary) as RunContext;
export const taskContextOf = (view: ActorView): TaskContext => (view.context ?? view.summary) as TaskContext;

export function taskView(view: ActorView): TaskView {
  const context = taskContextOf(view);
  const { tenant, runId, taskId } = context.owner;
  const parked = view.parked === null ? null : `parked: ${view.parked.message}`;
  return {
    taskId,
    runId,
    tenant,
    name: context.specification.name,
    description: context.specification.description,
    state: context.state,
    reason: parked ?? context.reason,
    failure: context.failure,
    branch: context.branch,
    commit: context.commit,
    landedCommit: context.landedCommit,
    finishCommand: context.finishCommand,
    rescue: context.rescue,
    filesChanged: context.filesChanged,
    agent: context.specification.agent,
    summary: context.summary,
    protectedPaths: context.protectedPaths,
    ...(context.specification.unprotected === undefined ? {} : { unprotected: context.specification.unprotected }),
    usage: context.usage,
    modelLimits: context.specification.modelLimits ?? { task: {}, run: {} },
    modelTurns: context.modelTurns,
    modelTurnsUnknown: context.modelTurnsUnknown,
    logTail: context.logTail,
    logArtifact: context.logArtifact,
    createdAt: rfc3339(context.createdAtMs),
    updatedAt: view.updatedAt,
    endedAt: view.status === 'done' ? rfc3339(context.enteredAtMs) : null,
  };
}

/** @param finished ids of tasks whose landing the user has finished after their end */
export function taskCounts(context: RunContext, finished: ReadonlySet<string> = new Set()): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { taskId, state: ended } of context.tasks) {
    const state = finished.has(taskId) ? 'merged' : ended;
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

function common(context: RunContext): Omit<RunView, 'tasks'> {
  const { tenant, runId, requestId, repository, baseBranch, concurrency, modelLimits, createdAtMs, endedAtMs } =
    context;
  return {
    runId,
    tenant,
    requestId,
    repository,
    baseBranch,
    state: runStateOf(context),
    concurrency,
    ...(modelLimits === undefined ? {} : { modelLimits }),
    createdAt: rfc3339(createdAtMs),
    endedAt: endedAtMs === null ? null : rfc3339(endedAtMs),
  };
}

export const runListed = (view: ActorView, finished: ReadonlySet<string>): RunSummary => {
  const context = runContextOf(view);
  return { ...common(context), taskCounts: taskCounts(context, finished) };
};

/** @param living views of the active tasks by task id, since the run doesn't store their states */
export function runView(view: ActorView, living: ReadonlyMap<string, TaskView>): RunView {
  const context = runContextOf(view);
  const tasks = context.tasks.map(({ taskId, name, state, reason }) => {
    const seen = living.get(taskId);
    if (seen !== undefined) return { taskId, name, state: seen.state, reason: seen.reason };
    // The run has sent `start` or `skip` to the task, whose actor couldn't be read yet.
    const known = state === 'active' || state === 'idle' || state === 'skipped' ? 'waiting' : state;
    return { taskId, name, state: known, reason };
  });
  const usage = usageOf(view, living);
  return { ...common(context), ...(usage === undefined ? {} : { usage }), tasks };
}

/** Adds the recorded usage of the run's ended tasks and the usage in the views of its other tasks. */
function usageOf(view: ActorView, living: ReadonlyMap<string, TaskView>): Usage | undefined {
  const usage = usageOfEnded(runContextOf(view));
  if (usage === undefined) return undefined;
  const others = livingTasks(view).flatMap((taskId) => living.get(taskId) ?? []);
  return others.reduce((sum, task) => addUsage(sum, task.usage), usage);
}

/** Returns the tasks whose actors must be read, since the run only stores that they are active. */
export const livingTasks = (view: ActorView): string[] =>
  runContextOf(view)
    .tasks.filter(({ state }) => state === 'active' || state === 'idle' || state === 'skipped')
    .map(({ taskId }) => taskId);

/** Returns the tasks that ended before the user finished their landing. */
export const pendingTasks = (view: ActorView): string[] =>
  runContextOf(view)
    .tasks.filter(({ state }) => state === 'landed-pending')
    .map(({ taskId }) => taskId);
