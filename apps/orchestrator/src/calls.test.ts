import { Bus, serviceEndpoint } from '@coppice/bus';
import { api, buckets, orchestratorCalls, worktreeCalls } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrchestrator } from './service.ts';

/**
 * Tests the calls that other services make to a real orchestrator. Its worktree service only reports that the
 * repository exists, so tasks don't get beyond their first states.
 */
const tenant = 'acme';
const service = { service: 'orchestrator' };
const missing = 'aaaaaaaaaaaaaaaa';
const prompt = { prompt: 'write', agent: { kind: 'prompt', file: 'a' }, verify: false } as const;
let nats: NatsServer;
let bus: Bus;
let orchestrator: StartedService;
let runId: string;
let taskIds: string[];

beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'calls-test' });
  await bus.ensureResources();
  const inspected = { repositoryId: 'repository1', repository: '/r', baseCommit: 'a'.repeat(40) };
  await bus.serve({
    name: 'worktree-service',
    version: '0.0.0',
    description: 'for this test',
    endpoints: [serviceEndpoint('worktree-service', worktreeCalls.inspect, async () => inspected)],
  });
  const { connection } = nats;
  orchestrator = await startService({
    name: 'orchestrator',
    version: '1.0.0',
    node: 'here',
    connection,
    start: startOrchestrator,
  });
  const submitted = await bus.call(
    api.runSubmit,
    { tenant },
    {
      requestId: 'one',
      repository: '/r',
      baseBranch: 'main',
      concurrency: 1,
      limits: { tokens: 5_000 },
      defaults: { model: 'acme/x', limits: { costUsd: 2 } },
      tasks: [
        { name: 'first', description: 'First', ...prompt },
        { name: 'second', description: 'Second', dependsOn: ['first'], ...prompt },
      ],
    },
  );
  runId = submitted.runId;
  taskIds = submitted.tasks.map(({ taskId }) => taskId);
}, 30_000);
afterAll(async () => {
  await orchestrator?.stop();
  await bus?.close();
  await nats?.stop();
});

const taskStatus = (taskId: string, of = tenant) =>
  bus.call(orchestratorCalls.taskStatus, service, { tenant: of, taskId });
const runStatus = (id: string, of = tenant) =>
  bus.call(orchestratorCalls.runStatus, service, { tenant: of, runId: id });

test("reports active tasks and runs with the request's limits, until they have ended", async () => {
  const second = taskIds[1] ?? '';
  const modelLimits = { task: { costUsd: 2 }, run: { tokens: 5_000 } };
  await eventually(async () =>
    expect(await taskStatus(second)).toEqual({ task: { runId, state: 'waiting', hasEnded: false, modelLimits } }),
  );
  expect(await runStatus(runId)).toEqual({
    run: { state: 'running', hasEnded: false, modelLimits: { tokens: 5_000 } },
  });
  await bus.call(api.taskCancel, { tenant }, { taskId: second });
  await eventually(async () =>
    expect(await taskStatus(second)).toEqual({ task: { runId, state: 'cancelled', hasEnded: true, modelLimits } }),
  );
});

test("a task or run that doesn't exist, or is another tenant's, is null", async () => {
  expect(await taskStatus(`t${missing}`)).toEqual({ task: null });
  expect(await runStatus(`r${missing}`)).toEqual({ run: null });
  expect(await taskStatus(taskIds[0] ?? '', 'other')).toEqual({ task: null });
  expect(await runStatus(runId, 'other')).toEqual({ run: null });
});

test("a value that this version can't read is an error, not a missing task", async () => {
  const unreadable = `t${'b'.repeat(16)}`;
  await bus.keyValue(buckets.actors).create(`task.${tenant}.${unreadable}`, new TextEncoder().encode('{"format":99}'));
  await expect(taskStatus(unreadable)).rejects.toMatchObject({ code: 'internal' });
});
