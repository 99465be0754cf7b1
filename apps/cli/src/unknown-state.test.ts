/** Tests with a task's state that only a newer orchestrator knows. */
import { Bus, apiEndpoint } from '@coppice/bus';
import { api, runIdOf, runItself, subjects, taskIdOf } from '@coppice/contracts';
import type { RunView, TaskView } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listCommand, showCommand } from './commands/listing.ts';
import { watchToTheEnd } from './commands/watching.ts';
import { fakeTerminal } from './test-support/fake-terminal.ts';
import { runViewOf, taskView } from './test-support/views.ts';

let server: NatsServer;
let bus: Bus;
let run: RunView;
let tasks: TaskView[];
let sequence = 0;

const endedAt = '2026-01-01T00:01:00.000Z';
const viewOf = (runId: string, name: string, fields: Partial<TaskView>): TaskView => ({
  ...taskView({ name, state: 'merged', endedAt }),
  runId,
  taskId: taskIdOf(runId, name),
  ...fields,
});

/** Starts a run with two tasks. The first is in an unknown state. The second has landed. */
function start(name: string): void {
  const runId = runIdOf('default', name);
  tasks = [viewOf(runId, 'first', { state: 'quarantined', endedAt: null }), viewOf(runId, 'second', {})];
  run = runViewOf(tasks, { runId });
}

async function publish(taskId: string, type: 'task-state' | 'task-ended' | 'run-ended', data: object): Promise<void> {
  await bus.publish(subjects.event('default', run.runId, taskId, type), {
    specversion: '1.0',
    id: `${run.runId}-${++sequence}`,
    source: '/coppice/test',
    type: `coppice.${type}`,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    sequence: String(sequence),
    data,
  });
}

/** Moves the first task to a state. If `ended` is true, the task ends in this state. */
async function move(state: string, ended = false): Promise<void> {
  const [before, second] = tasks as [TaskView, TaskView];
  const first = { ...before, state, endedAt: ended ? endedAt : null };
  tasks = [first, second];
  run = runViewOf(tasks, { runId: run.runId });
  const { runId, taskId, name } = first;
  await publish(taskId, 'task-state', { runId, taskId, name, from: before.state, to: state, reason: null });
  if (ended) await publish(taskId, 'task-ended', first);
}

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'test' });
  await bus.ensureResources();
  await bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [
      apiEndpoint(api.runGet, async () => run),
      apiEndpoint(api.runList, async () => {
        const { tasks: _tasks, usage: _usage, ...summary } = run;
        return { runs: [{ ...summary, taskCounts: { quarantined: 1, merged: 1 } }], more: false };
      }),
      apiEndpoint(api.taskGet, async ({ taskId }) => tasks.find((task) => task.taskId === taskId) as TaskView),
    ],
  });
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

function sessionOf(interactive = false) {
  const terminal = fakeTerminal({ interactive, columns: 80, rows: 12 });
  const { environment } = server;
  return { terminal, session: { terminal, environment, tenant: 'default', interrupted: new AbortController().signal } };
}

function watch(settings: { interactive?: boolean; json?: boolean; taskId?: string } = {}) {
  const { terminal, session } = sessionOf(settings.interactive);
  const client = { bus, tenant: 'default', stackEnded: new AbortController().signal };
  const options = { runId: run.runId, taskId: settings.taskId, json: settings.json ?? false };
  return { terminal, text: () => terminal.output.join(''), exitCode: watchToTheEnd(session, client, options) };
}

test('ls counts the task by the name of its state', async () => {
  start('ls');
  const { terminal, session } = sessionOf();
  expect(await listCommand(session, { limit: 10, json: false })).toBe(0);
  expect(terminal.output.join('')).toContain('1 quarantined, 1 merged');
});

test('show prints the name of the state, and treats the task as unfinished', async () => {
  start('show');
  const ofRun = sessionOf();
  expect(await showCommand(ofRun.session, run.runId, { json: false })).toBe(0);
  expect(ofRun.terminal.output.join('')).toMatch(/1 of 2 tasks done, 1 not over yet[^]*^● first +quarantined/m);
  const ofTask = sessionOf();
  expect(await showCommand(ofTask.session, tasks[0]?.taskId ?? '', { json: false })).toBe(0);
  expect(ofTask.terminal.output.join('')).toMatch(/^state +quarantined$/m);
});

test('watch shows the state in the table, and follows the task until it ends', async () => {
  start('table');
  const watching = watch({ interactive: true });
  const shows = (text: string) => watching.terminal.screen.visible.some((line) => line.startsWith(text));
  await eventually(() => shows('● first  quarantined'));
  await move('held-for-a-reason-that-is-long');
  await eventually(() => shows('● first  held-for-a-reaso…'));
  await move('merged', true);
  run = { ...run, state: 'succeeded' };
  await publish(runItself, 'run-ended', { runId: run.runId, state: 'succeeded', taskCounts: {} });
  expect(await watching.exitCode).toBe(0);
});

test('watch prints a line for the state in a pipe, and with --json the unchanged event', async () => {
  start('pipe');
  const watching = [watch(), watch({ json: true })] as const;
  await move('held');
  await move('merged', true);
  run = { ...run, state: 'succeeded' };
  await publish(runItself, 'run-ended', { runId: run.runId, state: 'succeeded', taskCounts: {} });
  expect(await Promise.all(watching.map(({ exitCode }) => exitCode))).toEqual([0, 0]);
  expect(watching[0].text()).toMatch(/^\d\d:\d\d:\d\d first: held$/m);
  expect(JSON.parse(watching[1].terminal.output[0] ?? '')).toMatchObject({ data: { from: 'quarantined', to: 'held' } });
});

test('watch of one task ends when the task ends in an unknown state, and does not report success', async () => {
  start('end');
  const watching = watch({ taskId: tasks[0]?.taskId ?? '' });
  await move('archived', true);
  expect(await watching.exitCode).toBe(4);
  expect(watching.text()).toMatch(/^\d\d:\d\d:\d\d first: archived$[^]*^● first +archived$/m);
});
