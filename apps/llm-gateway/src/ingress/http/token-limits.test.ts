/** Tests that HTTP calls with a token and the agents' model calls share the limits of the run file. */
import { buckets, gatewayCalls } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLlmGateway } from '../../service.ts';
import { providerServerAt } from '../../test-support/attempt.ts';
import { playStream, sse, startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { startOrchestrator } from '../../test-support/orchestrator.ts';
import type { Orchestrator } from '../../test-support/orchestrator.ts';
import { serveTasksAndRuns } from './test-support/stand-in-orchestrator.ts';
import { chunk } from './test-support/upstream.ts';

const tenant = 'default';
const runIdOf = (letter: string): string => `r${letter.repeat(16)}`;
const taskId = (letter: string): string => `t${letter.repeat(16)}`;
const runId = runIdOf('a');
const limit = 3_000;
const limits = { task: { tokens: limit }, run: {} };

const tasks = {
  [taskId('a')]: { runId, state: 'working', modelLimits: limits },
  [taskId('b')]: { runId, state: 'working', modelLimits: { task: {}, run: { tokens: 100 } } },
  [taskId('d')]: { runId, state: 'working', modelLimits: { task: { costUsd: 5 }, run: {} } },
  [taskId('e')]: { runId, state: 'merged', modelLimits: limits },
  [taskId('o')]: { runId, state: 'working' },
} as const;
const runs = {
  [runId]: { state: 'running', modelLimits: { tokens: 100 } },
  [runIdOf('b')]: { state: 'cancelled', modelLimits: {} },
  [runIdOf('c')]: { state: 'running' },
} as const;

let nats: NatsServer;
let orchestrator: Orchestrator;
let upstream: ModelServer;
let gateways: StartedService[] = [];
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  upstream = await startModelServer();
});
afterAll(async () => {
  await upstream.close();
  await orchestrator.close();
  await nats.stop();
});
let answering: { stop(): Promise<void> } | null = null;
beforeEach(async () => {
  answering = await serveTasksAndRuns(orchestrator.bus, { tasks, runs });
});
afterEach(async () => {
  await Promise.all([answering?.stop(), ...gateways.map((gateway) => gateway.stop())]);
  gateways = [];
});

async function startGateway(): Promise<void> {
  const start = startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        providerServers: [providerServerAt(upstream.baseUrl)],
        httpAddresses: [{ host: '127.0.0.1', port: 0 }],
      }),
  });
  gateways.push(await start);
}

const mint = (named: Partial<TokenGrant>) =>
  orchestrator.bus.call(
    gatewayCalls.mintToken,
    { service: 'llm-gateway' },
    { grant: { tenant, runId: '', taskId: '', ...named }, ttlMs: 60_000 },
  );
type Minted = Awaited<ReturnType<typeof mint>>;

const send = ({ addresses, token }: Minted, rest: object = {}): Promise<Response> =>
  fetch(`${addresses[0]}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'acme/acme-1', messages: [{ role: 'user', content: 'hi' }], ...rest }),
  });

async function spentBy(key: string): Promise<number> {
  const entry = await orchestrator.bus.keyValue(buckets.budgets).get(key);
  if (entry === null) return 0;
  return (JSON.parse(new TextDecoder().decode(entry.value)) as { spent: { tokens: number } }).spent.tokens;
}

test('concurrent turns and HTTP calls of one task at two gateways never use more than its limit', async () => {
  await startGateway();
  await startGateway();
  let served = 0;
  // The answer uses half of its output limit.
  upstream.play((response, { body }) => {
    const { max_tokens: most } = body as { max_tokens: number };
    served += 10 + Math.floor(most / 2);
    const usage = { prompt_tokens: 10, completion_tokens: Math.floor(most / 2) };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(sse([chunk({ content: 'a' }), chunk({}, 'stop'), { ...chunk({}), choices: [], usage }, '[DONE]']));
  });
  const id = taskId('a');
  const token = await mint({ runId, taskId: id });
  const effects = ['1', '2', '3', '4'].map((number) => `task_${id}_1_${number}`);
  const turns = effects.map(async (effectId) => {
    await orchestrator.order({ effectId, taskId: id, model: 'acme/acme-1', prompt: 'hi', limits });
    return (await orchestrator.resultOf(effectId, { timeoutMs: 20_000 })).status === 'done';
  });
  const calls = [1, 2, 3, 4].map(async () => {
    const response = await send(token, { stream: true });
    await response.text();
    return response.ok;
  });
  const outcomes = await Promise.all([...turns, ...calls]);
  expect(outcomes).toContain(true);
  expect(served).toBeLessThanOrEqual(limit);
  await eventually(async () => (await spentBy(`task.${tenant}.${id}`)) === served, { timeoutMs: 10_000 });
}, 60_000);

describe('the error for a request that is too large names the limit:', () => {
  test.each([
    ['of a task, that of its run', { runId, taskId: taskId('b') }],
    ['of a run', { runId }],
  ])('%s', async (_, named) => {
    await startGateway();
    upstream.play(playStream(textStream('hello')));
    const before = upstream.requests.length;
    const response = await send(await mint(named), { max_tokens: 100 });
    expect([response.status, response.headers.get('x-should-retry')]).toEqual([429, 'false']);
    expect(await response.text()).toContain(`the limit of run ${runId}`);
    expect(upstream.requests).toHaveLength(before);
  });
});

test('the error for a model without a known price under a limit in dollars is not retryable, since the operator must set the price', async () => {
  await startGateway();
  const before = upstream.requests.length;
  const response = await send(await mint({ runId, taskId: taskId('d') }), { max_tokens: 5 });
  expect([response.status, response.headers.get('retry-after')]).toEqual([403, null]);
  const { host } = new URL(upstream.baseUrl);
  expect(await response.text()).toContain(`since its requests go to ${host}, not at a vendor of the price list`);
  expect(upstream.requests).toHaveLength(before);
});

test('a call is charged to the task or run of its token', async () => {
  await startGateway();
  upstream.play(playStream(textStream('hello')));
  const before = await spentBy(`run.${tenant}.${runId}`);
  for (const named of [{ runId }, { runId, taskId: taskId('b') }]) {
    const response = await send(await mint(named), { max_tokens: 5, stream: true });
    expect(response.status).toBe(200);
    await response.text();
  }
  await eventually(async () => (await spentBy(`run.${tenant}.${runId}`)) === before + 28, { timeoutMs: 10_000 });
});

describe('no token is created', () => {
  test.each<[string, Partial<TokenGrant>, string, RegExp]>([
    ['for a task that has ended', { runId, taskId: taskId('e') }, 'conflict', /has ended \(merged\)/],
    ['for a run that has ended', { runId: runIdOf('b') }, 'conflict', /has ended \(cancelled\)/],
    ['for a task that does not exist', { runId, taskId: taskId('x') }, 'not-found', /no task tx/],
    [
      'for a task in the name of another run',
      { runId: runIdOf('b'), taskId: taskId('a') },
      'invalid-request',
      /grant\.runId: expected raaaaaaaaaaaaaaaa, .*received "rbbb/,
    ],
    ['for a task whose limits are unknown', { runId, taskId: taskId('o') }, 'conflict', /are not known/],
    ['for a run whose limits are unknown', { runId: runIdOf('c') }, 'conflict', /are not known/],
  ])('%s', async (_, named, code, message) => {
    await startGateway();
    await expect(mint(named)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as unknown });
  });

  test('while the limits of a task are unknown, unless the token is for no task', async () => {
    await startGateway();
    await answering?.stop();
    answering = null;
    await expect(mint({ runId, taskId: taskId('a') })).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    expect((await mint({})).token).not.toBe('');
  });
});
