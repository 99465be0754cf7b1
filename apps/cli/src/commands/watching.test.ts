import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, apiEndpoint } from '@coppice/bus';
import type { Service } from '@coppice/bus';
import { CoppiceError, api, runIdOf, runItself, subjects, taskIdOf } from '@coppice/contracts';
import type { CoppiceEvent, RunView, TaskState, TaskView } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fakeTerminal } from '../test-support/fake-terminal.ts';
import { runViewOf, taskView } from '../test-support/views.ts';
import { watchToTheEnd } from './watching.ts';

let server: NatsServer;
let bus: Bus;
let service: Service;
const runs = new Map<string, FakeRun>();

/** A fake run, with the orchestrator's answers and with events. */
class FakeRun {
  readonly runId: string;
  readonly tasks: Map<string, TaskView>;
  state: RunView['state'] = 'running';
  #sequence = 0;

  constructor(name: string, taskNames: string[]) {
    this.runId = runIdOf('default', name);
    this.tasks = new Map(
      taskNames.map((task) => {
        const taskId = taskIdOf(this.runId, task);
        return [task, { ...taskView({ name: task, state: 'waiting' }), runId: this.runId, taskId }];
      }),
    );
    runs.set(this.runId, this);
  }

  get view(): RunView {
    return runViewOf([...this.tasks.values()], { runId: this.runId, state: this.state });
  }

  async move(name: string, state: TaskState, fields: Partial<TaskView> = {}, publish = true): Promise<void> {
    const before = this.tasks.get(name) as TaskView;
    const task = { ...before, state, ...fields };
    this.tasks.set(name, task);
    const { runId, taskId, reason } = task;
    const data = { runId, taskId, name, from: before.state, to: state, reason };
    if (publish) await this.#publish(taskId, 'task-state', data);
  }

  async end(state: RunView['state'], publish = true): Promise<void> {
    this.state = state;
    if (publish) await this.#publish(runItself, 'run-ended', { runId: this.runId, state, taskCounts: {} });
  }

  async #publish(taskId: string, type: 'task-state' | 'run-ended', data: object): Promise<void> {
    const event = {
      specversion: '1.0',
      id: `${this.runId}-${++this.#sequence}`,
      source: '/coppice/test',
      type: `coppice.${type}`,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      sequence: String(this.#sequence),
      data,
    } as CoppiceEvent;
    await bus.publish(subjects.event('default', this.runId, taskId, type), event);
  }
}

const need = <Item>(item: Item | undefined): Item => {
  if (item === undefined) throw new CoppiceError('not-found', 'there is no such thing');
  return item;
};

const serve = () =>
  bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [
      apiEndpoint(api.runGet, async ({ runId }) => need(runs.get(runId)).view),
      apiEndpoint(api.taskGet, async ({ taskId }) => {
        const tasks = [...runs.values()].flatMap((run) => [...run.tasks.values()]);
        return need(tasks.find((task) => task.taskId === taskId));
      }),
    ],
  });

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'test' });
  await bus.ensureResources();
  service = await serve();
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

function watch(
  run: FakeRun,
  settings: { interactive?: boolean; json?: boolean; task?: string; waitMsMax?: number } = {},
) {
  const terminal = fakeTerminal({ interactive: settings.interactive ?? false, columns: 70, rows: 12 });
  const interrupted = new AbortController();
  const stackEnd = new AbortController();
  const session = { terminal, environment: {}, tenant: 'default', interrupted: interrupted.signal };
  const taskId = settings.task === undefined ? undefined : run.tasks.get(settings.task)?.taskId;
  const exitCode = watchToTheEnd(
    session,
    { bus, tenant: 'default', stackEnded: stackEnd.signal },
    {
      runId: run.runId,
      taskId,
      json: settings.json ?? false,
      ...(settings.waitMsMax === undefined ? {} : { waitMsMax: settings.waitMsMax }),
    },
  );
  return { terminal, interrupted, stackEnd, exitCode, text: () => terminal.output.join('') };
}

test('on a terminal, a table is redrawn; at the end only the report remains', async () => {
  const run = new FakeRun('table', ['first', 'second']);
  const watching = watch(run, { interactive: true });
  const { screen } = watching.terminal;
  await run.move('first', 'working');
  await eventually(() => screen.visible.some((line) => line.startsWith('● first')));
  watching.terminal.resize(40);
  await eventually(() => screen.visible.filter((line) => line.includes('first')).length === 1);
  await run.move('first', 'merged', { landedCommit: 'abcdef0123456789' });
  await run.move('second', 'failed', { reason: 'it does not work', logTail: 'not ok' });
  await run.end('failed');
  expect(await watching.exitCode).toBe(1);
  const shown = screen.visible.filter((line) => line !== '');
  expect(shown[0]).toContain('1 of 2 tasks done');
  expect(shown.filter((line) => line.includes('✔ first'))).toHaveLength(1);
  expect(shown.join('\n')).toContain('| not ok');
});

test('in a pipe, each step is a line without escape sequences', async () => {
  const run = new FakeRun('pipe', ['first']);
  await run.move('first', 'working');
  await run.move('first', 'failed', { reason: 'bad \u001B[31mred\u001B[0m\nthing' });
  await run.end('failed');
  const watching = watch(run);
  expect(await watching.exitCode).toBe(1);
  expect(watching.text()).toMatch(/^\d\d:\d\d:\d\d first: failed: bad red thing$/m);
  expect(watching.text()).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
});

test('with --json, there are only events, including those that this version does not know', async () => {
  const run = new FakeRun('json', ['first']);
  await bus.publish(subjects.event('default', run.runId, runItself, 'news'), {
    type: 'coppice.news',
    text: '\u009B31m',
  });
  await run.move('first', 'merged');
  await run.end('succeeded');
  const watching = watch(run, { json: true });
  expect(await watching.exitCode).toBe(0);
  const events = watching.terminal.output.map((line) => JSON.parse(line) as { type: string });
  expect(events.map(({ type }) => type)).toEqual(['coppice.news', 'coppice.task-state', 'coppice.run-ended']);
  expect(watching.text()).not.toContain('\u009B');
});

test('Ctrl-C detaches and says how to watch the run again', async () => {
  const run = new FakeRun('detach', ['first']);
  const watching = watch(run);
  await run.move('first', 'working');
  await eventually(() => watching.text().includes('first: working'));
  watching.interrupted.abort();
  expect(await watching.exitCode).toBe(130);
  expect(watching.terminal.complaints.join('\n')).toContain(`coppice watch ${run.runId}`);
  expect(watching.terminal.complaints.join('\n')).toContain(`coppice cancel ${run.runId}`);
});

test('watching ends when all unfinished tasks wait for the user, and says what to type', async () => {
  const run = new FakeRun('person', ['first', 'second']);
  await run.move('first', 'awaiting-approval', { reason: 'it changes a protected path' });
  const watching = watch(run);
  expect(await watching.exitCode).toBe(4);
  expect(watching.text()).toContain(`coppice approve ${run.runId}/first`);
});

test('a task that only passes through ready does not end watching', async () => {
  const run = new FakeRun('passes', ['first']);
  await run.move('first', 'ready');
  const watching = watch(run);
  await eventually(() => watching.text().includes('first: ready'));
  await run.move('first', 'landing');
  await run.move('first', 'merged');
  await run.end('succeeded');
  expect(await watching.exitCode).toBe(0);
});

test('the end of a run is noticed even if its event is lost', async () => {
  const run = new FakeRun('lost', ['first']);
  const watching = watch(run);
  await run.move('first', 'working');
  await eventually(() => watching.text().includes('first: working'));
  await run.move('first', 'merged', {}, false);
  await run.end('succeeded', false);
  expect(await watching.exitCode).toBe(0);
  expect(watching.text()).toMatch(/✔ first +merged/);
});

test('watching one task shows only its own steps, until it ends', async () => {
  const run = new FakeRun('one', ['first', 'second']);
  await run.move('second', 'working');
  await run.move('first', 'merged', { landedCommit: 'abcdef0123456789' });
  const watching = watch(run, { task: 'first' });
  expect(await watching.exitCode).toBe(0);
  expect(watching.text()).toContain('first: merged');
  expect(watching.text()).not.toContain('second');
});

test('watching waits for a restarting orchestrator, and no event is lost or shown twice', async () => {
  const run = new FakeRun('restarted', ['first', 'second']);
  await run.move('first', 'working');
  const watching = watch(run);
  const asJson = watch(run, { json: true });
  await eventually(() => watching.text().includes('first: working'));
  await service.stop();
  await run.move('second', 'working');
  await eventually(() => watching.terminal.complaints.length > 0, { timeoutMs: 30_000 });
  await run.move('first', 'merged');
  await run.move('second', 'failed');
  await run.end('failed');
  service = await serve();
  expect([await watching.exitCode, await asJson.exitCode]).toEqual([1, 1]);
  const states = watching.text().match(/(first|second): \w+/g);
  expect(states?.slice(0, 4)).toEqual(['first: working', 'second: working', 'first: merged', 'second: failed']);
  expect(asJson.terminal.output.map((line) => (JSON.parse(line) as CoppiceEvent).type)).toEqual([
    ...Array.from({ length: 4 }, () => 'coppice.task-state'),
    'coppice.run-ended',
  ]);
  const [waiting, over] = watching.terminal.complaints;
  expect(waiting).toMatch(/^waiting for the orchestrator \(no answer for \d+ s\)…$/);
  expect(over).toBe('the orchestrator answers again');
});

test('on a terminal, the service that watching waits for is shown below the table until it answers', async () => {
  const run = new FakeRun('waiting', ['first']);
  await run.move('first', 'working');
  const watching = watch(run, { interactive: true });
  const shows = (text: string) => watching.terminal.screen.visible.some((line) => line.startsWith(text));
  await eventually(() => shows('● first'));
  await service.stop();
  await eventually(() => shows('waiting for the orchestrator (no answer for'), { timeoutMs: 30_000 });
  service = await serve();
  await eventually(() => !shows('waiting') && shows('● first'), { timeoutMs: 30_000 });
  expect(watching.terminal.complaints).toEqual([]);
  watching.interrupted.abort();
  expect(await watching.exitCode).toBe(130);
});

test(
  'events do not count as answers: watching gives up if the stack does not answer for too long',
  { timeout: 60_000 },
  async () => {
    const run = new FakeRun('chatty', ['first', 'second']);
    await run.move('first', 'working');
    const watching = watch(run, { waitMsMax: 4_000 });
    await eventually(() => watching.text().includes('first: working'));
    await service.stop();
    const over = new AbortController();
    const failure = watching.exitCode
      .then(
        () => null,
        (error: unknown) => error as Error,
      )
      .finally(() => over.abort());
    while (!over.signal.aborted) {
      for (const state of ['preparing', 'working'] as const) await run.move('second', state);
      await sleep(500);
    }
    service = await serve();
    const message = expect.stringMatching(
      new RegExp(`nobody serves.*; run ${run.runId} is kept. .*coppice doctor.*: coppice watch ${run.runId}$`),
    ) as string;
    expect(await failure).toMatchObject({ exitCode: 3, message });
  },
);

test.each([{}, { task: 'first' }])('watching ends at once when the stack ends: %j', async (settings) => {
  const run = new FakeRun(`ended-${JSON.stringify(settings)}`, ['first']);
  await run.move('first', 'working');
  const watching = watch(run, settings);
  await eventually(() => watching.text().includes('first: working'));
  watching.stackEnd.abort('the stack is being stopped');
  await expect(watching.exitCode).rejects.toMatchObject({
    exitCode: 3,
    message: `the stack is being stopped; run ${run.runId} is kept. Go on with: coppice up, then coppice watch ${run.runId}`,
  });
});
