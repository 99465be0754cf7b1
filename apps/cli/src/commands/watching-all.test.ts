import { Bus, apiEndpoint } from '@coppice/bus';
import type { Service } from '@coppice/bus';
import { api, runIdOf, runItself, subjects } from '@coppice/contracts';
import type { RunSummary } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fakeTerminal } from '../test-support/fake-terminal.ts';
import { runViewOf } from '../test-support/views.ts';
import { watchAll } from './watching-all.ts';

let server: NatsServer;
let bus: Bus;
let service: Service;
const runs: RunSummary[] = [];

const serve = () =>
  bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [apiEndpoint(api.runList, async () => ({ runs, more: false }))],
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

let sequence = 0;
function publish(name: string, type: string, data: object, tenant = 'default') {
  const runId = runIdOf('default', name);
  return bus.publish(subjects.event(tenant, runId, runItself, type), {
    specversion: '1.0',
    id: `e${++sequence}`,
    source: '/coppice/test',
    type: `coppice.${type}`,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    sequence: String(sequence),
    data: { runId, ...data },
  });
}

const ended = (name: string) => publish(name, 'run-ended', { state: 'succeeded', taskCounts: {} });

function addRun(name: string): RunSummary {
  const { tasks: _tasks, ...view } = runViewOf([], { runId: runIdOf('default', name) });
  const run: RunSummary = { ...view, taskCounts: { working: 1 } };
  runs.unshift(run);
  return run;
}

function watch(settings: { interactive?: boolean; json?: boolean; waitMsMax?: number } = {}) {
  const terminal = fakeTerminal({ interactive: settings.interactive ?? false, columns: 140, rows: 12 });
  const interrupted = new AbortController();
  const stackEnd = new AbortController();
  const session = { terminal, environment: {}, tenant: 'default', interrupted: interrupted.signal };
  const exitCode = watchAll(
    session,
    { bus, tenant: 'default', stackEnded: stackEnd.signal },
    {
      json: settings.json ?? false,
      ...(settings.waitMsMax === undefined ? {} : { waitMsMax: settings.waitMsMax }),
    },
  );
  return { terminal, interrupted, stackEnd, exitCode, text: () => terminal.output.join('') };
}

test('on a terminal, a table shows new runs and their progress, and stays after Ctrl-C', async () => {
  const first = addRun('first');
  const { terminal, interrupted, exitCode } = watch({ interactive: true });
  await eventually(() => terminal.screen.visible.some((line) => line.startsWith(`● ${first.runId}`)));
  const second = addRun('second');
  const data = { requestId: 'second', repository: '/r', baseBranch: 'main', tasks: 1 };
  await eventually(async () => {
    // Events are lost until the subscription starts, so the test publishes until one is shown.
    await publish('second', 'run-submitted', data);
    return terminal.screen.visible.some((line) => line.includes(second.runId) && line.includes('1 task on main of /r'));
  });
  first.state = 'succeeded';
  await eventually(() => terminal.screen.visible.some((line) => line.startsWith(`✔ ${first.runId}`)), {
    timeoutMs: 10_000,
  });
  interrupted.abort();
  expect(await exitCode).toBe(130);
  expect(terminal.screen.visible.some((line) => line.startsWith(`● ${second.runId}`))).toBe(true);
  expect(terminal.complaints.join()).toContain('coppice watch');
});

test("in a pipe, each new event of any of the tenant's runs is a line", async () => {
  await ended('earlier');
  const { interrupted, exitCode, text } = watch();
  await eventually(async () => {
    await publish('elsewhere', 'run-ended', { state: 'failed', taskCounts: {} }, 'someone-else');
    await ended('now');
    return text() !== '';
  });
  interrupted.abort();
  expect(await exitCode).toBe(130);
  const runIds = new Set(
    text()
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  );
  expect(runIds).toEqual(new Set([runIdOf('default', 'now')]));
});

test('with --json, there are only events, including those that this version does not know', async () => {
  const { interrupted, exitCode, terminal } = watch({ json: true });
  await eventually(async () => {
    await publish('odd', 'news', { text: 'x' });
    return terminal.output.length > 0;
  });
  interrupted.abort();
  expect(await exitCode).toBe(130);
  expect(JSON.parse(terminal.output[0] ?? '')).toMatchObject({ type: 'coppice.news' });
});

test('watching waits for a stack that does not answer, and gives up after a time', { timeout: 60_000 }, async () => {
  const patient = watch();
  const hasty = watch({ waitMsMax: 2_000 });
  await service.stop();
  await expect(hasty.exitCode).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringMatching(/nobody serves.*; runs are kept\..*coppice watch$/) as string,
  });
  await eventually(() => patient.terminal.complaints.some((line) => line.startsWith('waiting for the orchestrator')), {
    timeoutMs: 30_000,
  });
  service = await serve();
  await eventually(() => patient.terminal.complaints.includes('the orchestrator answers again'));
  patient.interrupted.abort();
  expect(await patient.exitCode).toBe(130);
});

test('watching ends at once when the stack ends', async () => {
  const { exitCode, stackEnd } = watch();
  stackEnd.abort('the stack has ended');
  await expect(exitCode).rejects.toMatchObject({
    exitCode: 3,
    message: 'the stack has ended; runs are kept. Go on with: coppice up, then coppice watch',
  });
});
