import { Bus, apiEndpoint } from '@coppice/bus';
import { CoppiceError, api } from '@coppice/contracts';
import type { RunView } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveTarget, resolveTask } from './ids.ts';
import { runViewOf, taskView } from './test-support/views.ts';

const runs: RunView[] = [
  { ...runViewOf([]), runId: 'rabcaaaaaaaaaaaa2' },
  { ...runViewOf([]), runId: 'rabdaaaaaaaaaaaa2' },
  { ...runViewOf([]), runId: 'rsingleaaaaaaaaa2' },
].map((run) => ({
  ...run,
  tasks: (run.runId.startsWith('rsingle') ? ['one'] : ['one', 'two']).map((name) => ({
    taskId: taskIdFor(run.runId, name),
    name,
    state: 'waiting',
    reason: null,
  })),
}));

function taskIdFor(runId: string, name: string): string {
  return `t${runId.slice(1, 5)}${name.slice(0, 3)}aaaaaaaaa`;
}

let server: NatsServer;
let bus: Bus;
const client = () => ({ bus, tenant: 'default' });

/** Serves the orchestrator's read-only methods. */
beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'test' });
  const tasks = runs.flatMap((run) =>
    run.tasks.map(({ taskId, name }) => ({ ...taskView({ name, state: 'waiting' }), taskId, runId: run.runId })),
  );
  const need = <Item>(item: Item | undefined, what: string): Item => {
    if (item === undefined) throw new CoppiceError('not-found', `there is no ${what}`);
    return item;
  };
  await bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [
      apiEndpoint(api.runList, async () => ({
        runs: runs.map(({ tasks: _tasks, ...run }) => ({ ...run, taskCounts: {} })),
        more: false,
      })),
      apiEndpoint(api.taskList, async () => ({ tasks, more: false })),
      apiEndpoint(api.runGet, async ({ runId }) =>
        need(
          runs.find((run) => run.runId === runId),
          `run ${runId}`,
        ),
      ),
      apiEndpoint(api.taskGet, async ({ taskId }) =>
        need(
          tasks.find((task) => task.taskId === taskId),
          `task ${taskId}`,
        ),
      ),
    ],
  });
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

const [run] = runs as [RunView];
const one = { kind: 'task', taskId: taskIdFor(run.runId, 'one'), runId: run.runId, name: 'one' };

test.each([
  ['an id of a run', run.runId, { kind: 'run', runId: run.runId }],
  ['a beginning of one', 'rabc', { kind: 'run', runId: run.runId }],
  ['an id of a task', one.taskId, one],
  ['a beginning of one', 'tabcaone', one],
  ['run/name', `${run.runId}/one`, one],
  ['a beginning of a run, and a name', 'rabc/one', one],
])('%s names it', async (_what, text, expected) => {
  expect(await resolveTarget(client(), text)).toEqual(expected);
});

test.each([
  ['a beginning of several', 'rab', 'rab is the beginning of 2 runs: rabcaaaaaaaaaaaa2'],
  ['a beginning of several tasks', 'tabca', 'tabca is the beginning of 2 tasks'],
  ['a beginning of none', 'rzzz', 'there is no run whose id begins with rzzz'],
  ['an id of none', 'raaaaaaaaaaaaaaaa', 'there is no run raaaaaaaaaaaaaaaa'],
  ['a task that the run has not', 'rabc/three', 'has no task three; it has one, two'],
  ['a name alone', 'changelog', 'changelog: expected the id of a run (r…) or task (t…)'],
  ['a name without its run', '/one', "expected a run's id (r…) before the slash"],
  ['a task before the slash', 'tabc/one', "expected a run's id (r…) before the slash"],
  ['nothing', '', 'expected the id of a run'],
  ['control characters', '\u001B[2Jx', 'x: expected the id of a run'],
])('%s is refused, with what is there instead', async (_what, text, expected) => {
  await expect(resolveTarget(client(), text)).rejects.toThrow(expected);
});

test('where a task is needed, a run with one task means that one', async () => {
  expect(await resolveTask(client(), 'rsingle')).toMatchObject({ name: 'one', runId: 'rsingleaaaaaaaaa2' });
});

test('where a task is needed, the error for a run of several lists the names of its tasks', async () => {
  expect(await resolveTask(client(), 'rabc/one')).toEqual(one);
  await expect(resolveTask(client(), 'rabc')).rejects.toThrow(
    'rabc is a run; name one of its tasks: rabc/one, rabc/two',
  );
});
