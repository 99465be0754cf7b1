/** Tests the removal of leftovers with a real bus and engine. Only the orchestrator's answers are fake. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Bus, serviceEndpoint } from '@coppice/bus';
import { CoppiceError, isTaskEnd, orchestratorCalls } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { startNatsServer, type NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineFixture } from './engine/conformance-fixture.ts';
import { noneLauncher } from './engine/none.ts';
import { keepRemovingLeftovers, removeLeftovers } from './leftovers.ts';

const taskId = (letter: string) => `t${letter.repeat(16)}`;

let nats: NatsServer;
let bus: Bus;
let fixture: EngineFixture;

beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  fixture = await EngineFixture.start(({ stateFolder }) => noneLauncher({ stateFolder }));
});
afterAll(async () => {
  await fixture.stop();
  await bus.close();
  await nats.stop();
});

const answers: Record<string, string | null> = {
  [taskId('a')]: 'working',
  [taskId('b')]: 'merged',
  [taskId('c')]: 'failed',
  [taskId('d')]: null,
  [taskId('e')]: null,
};

test('a sandbox is removed only if its task has ended, or if it is old and its task is unknown', async () => {
  const labels = { stackId: 'leftovers', tenant: 'default', runId: 'raaaaaaaaaaaaaaaa' };
  for (const id of [...Object.keys(answers), 'setup-of-something']) {
    await fixture.sandbox({ id: `of-${id}`, labels: { ...labels, taskId: id } });
  }
  await fixture.sandbox({ id: 'of-another-stack', labels: { ...labels, stackId: 'another', taskId: taskId('b') } });
  const longAgo = new Date(Date.now() - 8 * 24 * 3_600_000);
  await utimes(path.join(fixture.data, 'engine/sandboxes', `of-${taskId('e')}`, 'sandbox.json'), longAgo, longAgo);

  const orchestrator = await bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'for tests',
    endpoints: [
      serviceEndpoint('orchestrator', orchestratorCalls.taskStatus, async ({ taskId: id }) =>
        status(answers[id] ?? null),
      ),
    ],
  });
  await removeLeftovers({
    bus,
    engine: fixture.engine,
    stackId: labels.stackId,
    logsFolder: path.join(fixture.data, 'logs'),
    log: createLogger('test'),
    signal: new AbortController().signal,
  });
  await orchestrator.stop();
  const left = (await fixture.engine.list({ runId: labels.runId })).map(({ id }) => id).toSorted();
  const expected = ['setup-of-something', 'another-stack', taskId('a'), taskId('d')].map((id) => `of-${id}`);
  expect(left).toEqual(expected.toSorted());
});

describe('a sandbox older than any command is kept for now', () => {
  const labels = { stackId: 'unanswered', tenant: 'default', runId: 'rcccccccccccccccc', taskId: taskId('f') };
  const remaining = async () => (await fixture.engine.list({ runId: labels.runId })).map(({ id }) => id);
  const round = (signal: AbortSignal) => {
    const logsFolder = path.join(fixture.data, 'logs');
    const { stackId } = labels;
    return removeLeftovers({ bus, engine: fixture.engine, stackId, logsFolder, log: createLogger('test'), signal });
  };
  const serveStatus = (answer: () => ReturnType<typeof status>) =>
    bus.serve({
      name: 'orchestrator',
      version: '0.0.0',
      description: 'for tests',
      endpoints: [serviceEndpoint('orchestrator', orchestratorCalls.taskStatus, async () => answer())],
    });
  beforeAll(async () => {
    await fixture.sandbox({ id: 'of-unanswered', labels });
    const longAgo = new Date(Date.now() - 8 * 24 * 3_600_000);
    await utimes(path.join(fixture.data, 'engine/sandboxes/of-unanswered/sandbox.json'), longAgo, longAgo);
  });

  test('while no orchestrator serves the call, as during an upgrade', async () => {
    await round(AbortSignal.timeout(1_000));
    expect(await remaining()).toEqual(['of-unanswered']);
  });

  test.each(['not-found', 'unavailable', 'internal'] as const)('while the call fails with %s', async (code) => {
    const stopping = new AbortController();
    const orchestrator = await serveStatus(() => {
      stopping.abort();
      throw new CoppiceError(code, 'no answer');
    });
    await round(stopping.signal);
    await orchestrator.stop();
    expect(stopping.signal.aborted).toBe(true);
    expect(await remaining()).toEqual(['of-unanswered']);
  });

  test('until an orchestrator says that there is no such task', async () => {
    const orchestrator = await serveStatus(() => status(null));
    await round(new AbortController().signal);
    await orchestrator.stop();
    expect(await remaining()).toEqual([]);
  });
});

test('a later round removes a sandbox that a repeated create made after its task had ended, and files that could not be deleted before', async () => {
  const labels = { stackId: 'rounds', tenant: 'default', runId: 'rbbbbbbbbbbbbbbbb', taskId: taskId('b') };
  const orchestrator = await bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'says that every task has ended',
    endpoints: [serviceEndpoint('orchestrator', orchestratorCalls.taskStatus, async () => status('merged'))],
  });
  const stopping = new AbortController();
  const logsFolder = path.join(fixture.data, 'logs');
  await mkdir(logsFolder);
  for (const name of ['left', 'being-written']) await writeFile(path.join(logsFolder, name), 'output');
  const before = new Date(Date.now() - 3 * 24 * 3_600_000);
  await utimes(path.join(logsFolder, 'left'), before, before);
  const settings = { bus, engine: fixture.engine, stackId: labels.stackId, logsFolder, log: createLogger('test') };
  const rounds = keepRemovingLeftovers({ ...settings, signal: stopping.signal }, 50);
  for (let count = 0; count < 2; count++) {
    await fixture.sandbox({ id: `late-${count}`, labels });
    const remains = path.join(fixture.data, `engine/sandboxes/removed.${count}`);
    await mkdir(remains);
    await expect.poll(() => fixture.engine.list({ runId: labels.runId }), { timeout: 5_000 }).toEqual([]);
    await expect.poll(() => existsSync(remains), { timeout: 5_000 }).toBe(false);
  }
  expect(await readdir(logsFolder)).toEqual(['being-written']);
  stopping.abort();
  await rounds;
  await orchestrator.stop();
});

function status(state: string | null) {
  if (state === null) return { task: null };
  return { task: { runId: 'raaaaaaaaaaaaaaaa', state, hasEnded: isTaskEnd(state), modelLimits: null } };
}
