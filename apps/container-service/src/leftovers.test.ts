/** A real bus and engine; only the orchestrator's answers are given. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { apiEndpoint, Bus } from '@coppice/bus';
import { api, CoppiceError, type TaskState, type TaskView } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { startNatsServer, type NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

const answers: Record<string, TaskState | 'not-found'> = {
  [taskId('a')]: 'working',
  [taskId('b')]: 'merged',
  [taskId('c')]: 'failed',
  [taskId('d')]: 'not-found',
  [taskId('e')]: 'not-found',
};

test('only sandboxes of tasks that have ended, or are unknown for long, are removed', async () => {
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
    description: 'answers as told',
    endpoints: [
      apiEndpoint(api.taskGet, async ({ taskId: asked }) => {
        const state = answers[asked] ?? 'not-found';
        if (state === 'not-found') throw new CoppiceError('not-found', `there is no task ${asked}`);
        return taskView(asked, state);
      }),
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

test('one that a repeated create makes after the end of its task goes in a later round, and so do remains', async () => {
  const labels = { stackId: 'rounds', tenant: 'default', runId: 'rbbbbbbbbbbbbbbbb', taskId: taskId('b') };
  const orchestrator = await bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'says that every task has ended',
    endpoints: [apiEndpoint(api.taskGet, async ({ taskId: asked }) => taskView(asked, 'merged'))],
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

function taskView(asked: string, state: TaskState): TaskView {
  const time = new Date().toISOString();
  return {
    taskId: asked,
    runId: 'raaaaaaaaaaaaaaaa',
    tenant: 'default',
    name: 'a-task',
    description: 'A task',
    state,
    reason: null,
    failure: null,
    branch: null,
    commit: null,
    landedCommit: null,
    finishCommand: null,
    rescue: null,
    filesChanged: null,
    protectedPaths: [],
    usage: { inputTokens: 0, outputTokens: 0, costUsd: null },
    modelTurns: 0,
    modelTurnsUnknown: 0,
    logTail: null,
    logArtifact: null,
    createdAt: time,
    updatedAt: time,
    endedAt: null,
  };
}
