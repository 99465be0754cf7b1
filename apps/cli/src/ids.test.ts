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

/** Serves fakes of the orchestrator's read-only methods. */
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
  ['the id of a run', run.runId, { kind: 'run', runId: run.runId }],
  ['a unique prefix of a run id', 'rabc', { kind: 'run', runId: run.runId }],
  ['the id of a task', one.taskId, one],
  ['a unique prefix of a task id', 'tabcaone', one],
  ['run/name', `${run.runId}/one`, one],
  ['a prefix of a run id, and the name of a task', 'rabc/one', one],
])('%s names it', async (_what, text, expected) => {
  expect(await resolveTarget(client(), text)).toEqual(expected);
});

test.each([
  ['a prefix of several run ids', 'rab', 'rab is the beginning of 2 runs: rabcaaaaaaaaaaaa2'],
  ['a prefix of several task ids', 'tabca', 'tabca is the beginning of 2 tasks'],
  ['a prefix of no id', 'rzzz', 'there is no run whose id begins with rzzz'],
  ['an id that does not exist', 'raaaaaaaaaaaaaaaa', 'there is no run raaaaaaaaaaaaaaaa'],
  ['a task name that the run does not have', 'rabc/three', 'has no task three; it has one, two'],
  ['a name alone', 'changelog', 'changelog: expected the id of a run (r…) or task (t…)'],
  ['a task name without its run', '/one', "expected a run's id (r…) before the slash"],
  ['a task id before the slash', 'tabc/one', "expected a run's id (r…) before the slash"],
  ['nothing', '', 'expected the id of a run'],
  ['control characters', '\u001B[2Jx', 'x: expected the id of a run'],
])('%s is rejected, with what was expected or exists', async (_what, text, expected) => {
  await expect(resolveTarget(client(), text)).rejects.toThrow(expected);
});

test('where a task is needed, a run with one task stands for that task', async () => {
  expect(await resolveTask(client(), 'rsingle')).toMatchObject({ name: 'one', runId: 'rsingleaaaaaaaaa2' });
});

test('where a task is needed, the error for a run of several lists the names of its tasks', async () => {
  expect(await resolveTask(client(), 'rabc/one')).toEqual(one);
  await expect(resolveTask(client(), 'rabc')).rejects.toThrow(
    'rabc is a run; name one of its tasks: rabc/one, rabc/two',
  );
});
