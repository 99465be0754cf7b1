import { randomUUID } from 'node:crypto';
import { apiEndpoint } from '@coppice/bus';
import type { Bus, Endpoint } from '@coppice/bus';
import { CoppiceError, api, isTaskEnd, worktreeCalls } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { listActors, readActor, sendEvent } from '@coppice/durable-actor';
import type { ActorView } from '@coppice/durable-actor';
import { Artifacts } from './artifacts.ts';
import { taskViews } from './finished-landings.ts';
import { submitRunWithTasks } from './submit.ts';
import { livingTasks, pendingTasks, runContextOf, runListed, runView, taskContextOf, taskView } from './views.ts';

/** Maximum time for an actor to handle an event. */
const awaitAnswerMs = 8_000;
const readsAtOnce = 16;
/**
 * Maximum number of `landed-pending` tasks that one list of runs checks for a finished landing. Further tasks keep
 * their stored state.
 */
const pendingLookedAtMax = 200;
const patchBytesMax = 512 * 1024;
const listBytesMax = 800 * 1024;

export const endpoints = (bus: Bus, artifacts = new Artifacts(bus)): Endpoint[] => [
  apiEndpoint(api.runSubmit, (request, { tenant }) => submitRunWithTasks(bus, tenant, request)),
  apiEndpoint(api.runGet, async ({ runId }, { tenant }) => {
    const run = await requireRun(bus, tenant, runId);
    const living = await readTasks(bus, tenant, [...livingTasks(run), ...pendingTasks(run)]);
    return runView(run, new Map(living.map((task) => [task.taskId, task])));
  }),
  apiEndpoint(api.runList, async ({ limit }, { tenant }) => {
    const { items, more } = await newest(listActors(bus, { kind: 'run', under: tenant }), limit);
    const pending = await readTasks(bus, tenant, items.flatMap(pendingTasks).slice(0, pendingLookedAtMax));
    const finished = new Set(pending.filter(({ state }) => state === 'merged').map(({ taskId }) => taskId));
    return { runs: items.map((run) => runListed(run, finished)), more };
  }),
  apiEndpoint(api.runCancel, async ({ runId, reason }, { tenant }) => {
    await requireRun(bus, tenant, runId);
    await notify(bus, 'run', `${tenant}.${runId}`, { type: 'cancel', ...(reason === undefined ? {} : { reason }) });
    return { runId };
  }),
  apiEndpoint(api.taskGet, async ({ taskId }, { tenant }) => look(bus, tenant, await requireTask(bus, tenant, taskId))),
  apiEndpoint(api.taskList, async ({ runId, limit }, { tenant }) => {
    if (runId !== undefined) {
      const run = await requireRun(bus, tenant, runId);
      const taskIds = runContextOf(run).tasks.map(({ taskId }) => taskId);
      return fitting(await readTasks(bus, tenant, taskIds.slice(0, limit)), taskIds.length > limit);
    }
    const { items, more } = await newest(listActors(bus, { kind: 'task', under: tenant }), limit);
    return fitting(await taskViews(bus, tenant, items), more);
  }),
  apiEndpoint(api.taskCancel, ({ taskId, reason }, { tenant }) =>
    sendToTask(bus, tenant, taskId, { type: 'cancel', reason }),
  ),
  apiEndpoint(api.taskApprove, ({ taskId }, { tenant }) => sendToTask(bus, tenant, taskId, { type: 'approve' })),
  apiEndpoint(api.taskReject, ({ taskId, reason }, { tenant }) =>
    sendToTask(bus, tenant, taskId, { type: 'reject', reason }),
  ),
  apiEndpoint(api.taskMerge, ({ taskId }, { tenant }) => mergeTask(bus, tenant, taskId)),
  apiEndpoint(api.taskDiscard, ({ taskId, keepBranch, reason }, { tenant }) =>
    sendToTask(bus, tenant, taskId, { type: 'discard', keepBranch, reason }),
  ),
  apiEndpoint(api.taskDiff, async ({ taskId }, { tenant }) => {
    const { repository, baseCommit, commit, node, state } = taskContextOf(await requireTask(bus, tenant, taskId));
    if (commit === null || baseCommit === null)
      throw new CoppiceError('conflict', `task ${taskId} has no commit`, { details: { state } });
    const input = { tenant, repository, baseCommit, commit, bytesMax: patchBytesMax };
    const target = { service: 'worktree-service', ...(node === null ? {} : { node }) };
    const { patch, truncated } = await bus.call(worktreeCalls.diff, target, input);
    return { patch, truncated, commit, baseCommit };
  }),
  apiEndpoint(api.taskBundle, async ({ taskId, whole }, { tenant }) => {
    const task = taskContextOf(await requireTask(bus, tenant, taskId));
    const { repository, baseCommit, commit, node, branch } = task;
    if (baseCommit === null) throw new CoppiceError('not-found', `task ${taskId} has no commit`);
    const input = { tenant, taskId, repository, baseCommit, whole };
    const target = { service: 'worktree-service', ...(node === null ? {} : { node }) };
    const found = await bus.call(worktreeCalls.bundle, target, {
      ...input,
      branch: commit === null ? null : branch,
      isOver: isTaskEnd(task.state),
    });
    return { ...found, baseCommit };
  }),
  apiEndpoint(api.artifactGet, (request, { tenant }) => artifacts.part(tenant, request)),
];

async function requireRun(bus: Bus, tenant: string, runId: string): Promise<ActorView> {
  const view = await readActor(bus, 'run', `${tenant}.${runId}`);
  if (view === null) throw new CoppiceError('not-found', `there is no run ${runId}`);
  return view;
}

async function requireTask(bus: Bus, tenant: string, taskId: string): Promise<ActorView> {
  const view = await readActor(bus, 'task', `${tenant}.${taskId}`);
  if (view === null) throw new CoppiceError('not-found', `there is no task ${taskId}`);
  return view;
}

/** Reads the views of the tasks that exist. If the run is still being created, some of its tasks may be missing. */
async function readTasks(bus: Bus, tenant: string, taskIds: string[]): Promise<TaskView[]> {
  const found: ActorView[] = [];
  for (let start = 0; start < taskIds.length; start += readsAtOnce) {
    const some = taskIds.slice(start, start + readsAtOnce);
    const read = await Promise.all(some.map((taskId) => readActor(bus, 'task', `${tenant}.${taskId}`)));
    for (const view of read) if (view !== null) found.push(view);
  }
  return taskViews(bus, tenant, found);
}

/**
 * Shortens a list of tasks to the size of one message. If tasks are left out, `more` is true, and the client reads each
 * of them separately.
 */
function fitting(tasks: TaskView[], more: boolean): { tasks: TaskView[]; more: boolean } {
  let bytes = 0;
  const count = tasks.findIndex((task) => (bytes += Buffer.byteLength(JSON.stringify(task))) > listBytesMax);
  return count === -1 ? { tasks, more } : { tasks: tasks.slice(0, count), more: true };
}

async function newest(actors: AsyncIterable<ActorView>, limit: number): Promise<{ items: ActorView[]; more: boolean }> {
  const all: ActorView[] = [];
  for await (const view of actors) if (view.context !== null || view.summary !== null) all.push(view);
  all.sort((left, right) => right.createdAt.localeCompare(left.createdAt));
  return { items: all.slice(0, limit), more: all.length > limit };
}

const look = async (bus: Bus, tenant: string, actor: ActorView): Promise<TaskView> =>
  (await taskViews(bus, tenant, [actor]))[0] ?? taskView(actor);

/**
 * Sends `merge` to a task. Only the user can finish the landing of a task in `landed-pending`. Until then, this throws
 * `conflict` with the command to run. After that, it returns the task's view.
 */
async function mergeTask(bus: Bus, tenant: string, taskId: string): Promise<TaskView> {
  const actor = await requireTask(bus, tenant, taskId);
  if (taskContextOf(actor).state !== 'landed-pending') return sendToTask(bus, tenant, taskId, { type: 'merge' });
  const task = await look(bus, tenant, actor);
  if (task.state === 'merged') return task;
  const text = `${task.name} has landed, but not in your checkout. To finish: ${task.finishCommand}`;
  throw new CoppiceError('conflict', text, { details: { state: task.state } });
}

const notify = (bus: Bus, kind: string, id: string, event: { type: string } & Record<string, unknown>) =>
  sendEvent(bus, { kind, id, event, messageId: randomUUID(), awaitAnswerMs });

async function sendToTask(
  bus: Bus,
  tenant: string,
  taskId: string,
  event: { type: string } & Record<string, unknown>,
): Promise<TaskView> {
  await requireTask(bus, tenant, taskId);
  await notify(bus, 'task', `${tenant}.${taskId}`, event);
  return taskView(await requireTask(bus, tenant, taskId));
}
