/** Tests calls through the exchange. Their answers are stored in a real bucket. */
import { gzipSync } from 'node:zlib';
import { Bus } from '@coppice/bus';
import { CoppiceError, buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareExchanges } from '../routing/collaborators.ts';
import type { ExchangeSettings } from '../routing/collaborators.ts';
import { startExchange } from '../routing/exchange.ts';
import type { Call, ExchangeResult } from '../routing/exchange.ts';
import { Budgets } from '../budget/budgets.ts';
import type { FinishReason, ModelDelta, Provider } from '../provider/port.ts';
import { read } from '../test-support/call-exchange.ts';
import { end, saying, text } from '../test-support/says.ts';
import { AnswerCache } from './answer-cache.ts';
import type { CacheSettings } from './answer-cache.ts';
import { keyOf } from './key.ts';
import { cacheLimits } from './limits.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'cache' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus?.close();
  await nats?.stop();
});

const bucket = () => bus.keyValue(buckets.llmCache);
const generous = { ttlMs: 600_000, entryBytesMax: cacheLimits.entryBytesMax };
const signed = { wire: 'anthropic', value: 'c2ln' };
/** An answer that contains every kind of content. */
const rich: readonly ModelDelta[] = [
  { type: 'response-start', responseModel: 'one-2026', responseId: 'r1' },
  { type: 'thinking-delta', block: 0, text: 'Let me ' },
  { type: 'thinking-delta', block: 0, text: 'see.', signature: signed },
  { type: 'thinking-delta', block: 1, text: '', redacted: true, signature: signed },
  { type: 'text-delta', text: 'I look.', signature: signed },
  { type: 'tool-call-delta', call: 0, id: 'c0', name: 'read', arguments: '{"path":' },
  { type: 'tool-call-delta', call: 1, id: 'c1', name: 'list', arguments: '', signature: signed },
  { type: 'tool-call-delta', call: 0, arguments: '"a.txt"}' },
  { type: 'usage', usage: { inputTokens: 100, outputTokens: 20, cachedInputTokens: 60, cacheWriteInputTokens: 9 } },
  { type: 'response-end', finishReason: 'tool-calls', providerFinishReason: 'tool_use' },
];

type Request = Call['request'];
const request: Request = {
  messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
  tools: [{ name: 'list', description: 'Lists.', parameters: { type: 'object', properties: { a: {}, b: {} } } }],
  settings: { maxOutputTokens: 90, temperature: 0.5 },
};

type CallOptions = Partial<Omit<Call, 'model'>> & { tenant?: string; model?: string };
type Heard = { come: ModelDelta[]; error: unknown; result: Readonly<ExchangeResult> };

/** Creates a gateway with a cache. Its calls return only after their writes to the cache have finished. */
function gatewayWith(
  provider: Provider | readonly Provider[],
  { cache: settings = generous, ...rest }: { cache?: CacheSettings } & Partial<Omit<ExchangeSettings, 'cache'>> = {},
) {
  const call = async ({ tenant = 'acme', model = 'acme/one', ...options }: CallOptions = {}): Promise<Heard> => {
    const cache = new AnswerCache(bucket(), settings);
    const retry = { pauseMsMin: 1, pauseMsMax: 2 };
    const collaborators = prepareExchanges({ providers: [provider].flat(), retry, ...rest, cache });
    const { deltas, result } = startExchange(collaborators, {
      model: collaborators.routes.resolve(model),
      request,
      context: {
        owner: { tenant, runId: 'r1', taskId: 't1' },
        effectId: 'task_t1_1_1',
        signal: new AbortController().signal,
      },
      endsAtMs: Date.now() + 20_000,
      ...options,
    });
    const heard = await read({ deltas });
    await cache.stop();
    return { ...heard, result };
  };
  return { call };
}

let tenants = 0;
/** Returns a tenant without stored answers. */
const newTenant = (): string => `tenant-${++tenants}`;
const counting = () => saying('acme', [text('first'), end], [text('second'), end], [text('third'), end]);

test('the same request again gets the same answer, without a request to a provider and without a charge', async () => {
  const tenant = newTenant();
  const acme = saying('acme', [...rich]);
  const budgets = new Budgets(bus, 'cache-test');
  const limited = { key: `task.${tenant}.t1`, name: 'task t1', limit: { tokens: 200 }, forgottenAfterMs: null };
  const { call } = gatewayWith(acme, { budgets });
  const first = await call({ tenant, budgets: [limited] });
  expect(first).toMatchObject({ come: rich, error: null, result: { cached: false } });
  // A second call of the same size would not fit the budget.
  const second = await call({ tenant, budgets: [limited] });
  expect(second).toMatchObject({ come: rich, error: null });
  expect(second.result).toMatchObject({
    provider: 'acme',
    model: 'one',
    attempts: [],
    usage: { inputTokens: 100, outputTokens: 20, cachedInputTokens: 60, cacheWriteInputTokens: 9, costUsd: 0 },
    costUsd: 0,
    cached: true,
  });
  expect(acme.requests).toHaveLength(1);
  await budgets.stop();
  const entry = await bus.keyValue(buckets.budgets).get(limited.key);
  expect(JSON.parse(new TextDecoder().decode(entry?.value))).toMatchObject({ spent: { tokens: 120 } });
});

test('the cost that a provider reported is not reported again', async () => {
  const tenant = newTenant();
  const dear: ModelDelta = { type: 'usage', usage: { inputTokens: 5, outputTokens: 1, costUsd: 0.25 } };
  const { call } = gatewayWith(saying('acme', [text('a'), dear, end]));
  expect((await call({ tenant })).result.costUsd).toBe(0.25);
  const again = await call({ tenant });
  expect(again.result).toMatchObject({ cached: true, costUsd: 0 });
  expect(again.come).toContainEqual({ type: 'usage', usage: { inputTokens: 5, outputTokens: 1 } });
});

test('the order of fields makes no difference', async () => {
  const tenant = newTenant();
  const { call } = gatewayWith(counting());
  await call({ tenant });
  const turned: Request = {
    settings: { temperature: 0.5, cache: true, maxOutputTokens: 90 },
    tools: [{ parameters: { properties: { b: {}, a: {} }, type: 'object' }, description: 'Lists.', name: 'list' }],
    messages: [{ content: [{ text: 'hello', type: 'text' }], role: 'user' }],
  };
  expect(await call({ tenant, request: turned })).toMatchObject({
    come: [text('first'), end],
    result: { cached: true },
  });
});

describe('a request is sent again if it differs in', () => {
  const message = (role: 'user' | 'system', said: string) => ({
    ...request,
    messages: [{ role, content: [{ type: 'text' as const, text: said }] }],
  });
  const tool = (changed: object) => ({ ...request, tools: [{ ...request.tools[0], ...changed }] }) as Request;
  const setting = (settings: object) => ({ ...request, settings: { ...request.settings, ...settings } }) as Request;
  const original = { wire: 'openai-chat' as const, body: { messages: [], n: 1 }, headers: { a: 'b' } };
  test.each<[string, CallOptions]>([
    ['a text', { request: message('user', 'hello!') }],
    ['a role', { request: message('system', 'hello') }],
    ['one message more', { request: { ...request, messages: [...request.messages, ...request.messages] } }],
    ['a tool that is missing', { request: { ...request, tools: [] } }],
    ["a tool's name", { request: tool({ name: 'tree' }) }],
    ["a tool's description", { request: tool({ description: '' }) }],
    ["a tool's parameters", { request: tool({ parameters: { type: 'object' } }) }],
    ['the maximum', { request: setting({ maxOutputTokens: 91 }) }],
    ['the temperature', { request: setting({ temperature: 0 }) }],
    ['an additional setting', { request: setting({ seed: 1 }) }],
    ['the thinking effort', { request: setting({ thinking: { effort: 'low' } }) }],
    ['the format', { request: setting({ responseFormat: { type: 'json' } }) }],
    ['the choice of tools', { request: setting({ toolChoice: 'required' }) }],
    ['the model', { model: 'acme/two' }],
    ['the provider', { model: 'other/one' }],
    ['the tenant', { tenant: 'tenant-of-nobody' }],
    ["the client's body", { request: { ...request, original } }],
  ])('%s', async (_, changed) => {
    const tenant = newTenant();
    const providers = [counting(), counting()].map((provider, index) =>
      Object.assign(provider, { name: ['acme', 'other'][index], wire: 'openai-chat' as const }),
    );
    const { call } = gatewayWith(providers);
    await call({ tenant });
    expect((await call({ tenant, ...changed })).result.cached).toBe(false);
    // The first answer is still stored.
    expect((await call({ tenant })).come).toEqual([text('first'), end]);
    expect(providers.flatMap(({ requests }) => requests)).toHaveLength(2);
  });

  test("a field of the client's body, a header, or streaming, if the provider has the client's wire format", async () => {
    const tenant = newTenant();
    const acme = Object.assign(counting(), { wire: 'openai-chat' as const });
    const { call } = gatewayWith(acme);
    const callWith = (body: object, rest: Partial<Request> = {}, headers: Record<string, string> = {}) =>
      call({
        tenant,
        request: { ...request, original: { wire: 'openai-chat', body: { ...body }, headers }, ...rest },
      });
    await callWith({ model: 'x', unknown: { a: 1, b: [1, 2] } });
    expect((await callWith({ unknown: { b: [1, 2], a: 1 }, model: 'y', stream: true })).result.cached).toBe(true);
    for (const different of [
      callWith({ unknown: { a: 1, b: [2, 1] } }),
      callWith({ unknown: { a: 1, b: [1, 2] } }, {}, { 'openai-beta': 'x' }),
      callWith({ unknown: { a: 1, b: [1, 2] } }, { stream: false }),
    ])
      expect((await different).result.cached).toBe(false);
    expect(acme.requests).toHaveLength(4);
  });
});

describe('the cache does not store', () => {
  const ending = (finishReason: FinishReason): ModelDelta => ({ type: 'response-end', finishReason });
  test.each<[string, Parameters<typeof saying>[1]]>([
    ['an answer that reached its output limit', [text('half'), ending('length')]],
    ['a refusal or a filtered answer', [text('no'), ending('refusal')]],
    ['an answer that ended for an unknown reason', [text('half'), ending('other')]],
    ['an answer that was cut', [text('half')]],
    ['an answer that an error ended', [text('half'), new CoppiceError('provider-failed', 'overloaded')]],
    ['an answer without output', [{ type: 'thinking-delta', block: 0, text: 'hm' }, end]],
    ['an answer that is too large', [text('x'.repeat(cacheLimits.answerBytesMax + 1)), end]],
    ['an answer with too many pieces', [...Array.from({ length: cacheLimits.answerDeltasMax }, () => text('')), end]],
  ])('%s', async (_, steps) => {
    const tenant = newTenant();
    const acme = saying('acme', steps, [text('anew'), end]);
    const { call } = gatewayWith(acme);
    await call({ tenant });
    expect(await bucket().get(keyOf(tenant, { provider: acme, model: 'one' }, request))).toBeNull();
    expect(await call({ tenant })).toMatchObject({ come: [text('anew'), end], result: { cached: false } });
  });

  test('an answer whose compressed size exceeds the configured limit', async () => {
    const tenant = newTenant();
    // Varied numbers compress less than one repeated letter.
    const long = Array.from({ length: 2_000 }, (_, index) => (index * 7_919) % 10_007).join(' ');
    const acme = saying('acme', [text(long), end]);
    const small = gatewayWith(acme, { cache: { ...generous, entryBytesMax: 1_024 } });
    await small.call({ tenant });
    expect((await small.call({ tenant })).result.cached).toBe(false);
    await gatewayWith(acme).call({ tenant });
    expect((await gatewayWith(acme).call({ tenant })).result.cached).toBe(true);
  });

  test('an answer to a call without cache, which does not get a stored answer either', async () => {
    const tenant = newTenant();
    const { call } = gatewayWith(counting());
    const apart = { ...request, settings: { ...request.settings, cache: false } };
    expect((await call({ tenant, request: apart })).come).toEqual([text('first'), end]);
    expect((await call({ tenant })).come).toEqual([text('second'), end]);
    expect((await call({ tenant, request: apart })).come).toEqual([text('third'), end]);
    expect((await call({ tenant })).come).toEqual([text('second'), end]);
  });

  test('an answer whose caller leaves before its end', async () => {
    const tenant = newTenant();
    const acme = counting();
    const cache = new AnswerCache(bucket(), generous);
    const owner = { tenant, runId: 'r1', taskId: 't1' };
    const exchanges = prepareExchanges({ providers: [acme], cache });
    const { deltas } = startExchange(exchanges, {
      model: exchanges.routes.resolve('acme/one'),
      request,
      context: { owner, effectId: 'e', signal: new AbortController().signal },
      endsAtMs: Date.now() + 20_000,
    });
    for await (const together of deltas) {
      expect(together).toEqual([text('first')]);
      break;
    }
    await cache.stop();
    await expect.poll(() => acme.requests).toMatchObject([{ left: true }]);
    expect((await gatewayWith(acme).call({ tenant })).result.cached).toBe(false);
  });
});

test('a stored answer expires', async () => {
  const tenant = newTenant();
  const acme = counting();
  const { call } = gatewayWith(acme, { cache: { ...generous, ttlMs: 1_000 } });
  await call({ tenant });
  const key = keyOf(tenant, { provider: acme, model: 'one' }, request);
  expect(await bucket().get(key)).not.toBeNull();
  await expect.poll(async () => bucket().get(key), { timeout: 20_000 }).toBeNull();
  expect(await call({ tenant })).toMatchObject({ come: [text('second'), end], result: { cached: false } });
}, 30_000);

describe('a stored value that is not a complete answer is ignored and replaced:', () => {
  const entry = (deltas: unknown) => gzipSync(JSON.stringify({ deltas }));
  test.each<[string, Uint8Array]>([
    ['an empty value', new Uint8Array()],
    ['a value that is not compressed', new TextEncoder().encode('{"deltas":[]}')],
    ['text that is not JSON', gzipSync('deltas')],
    ['a list without deltas', entry([])],
    ['a cut answer', entry([text('half')])],
    ['an answer that was cut short', entry([text('half'), { type: 'response-end', finishReason: 'length' }])],
    ['two answers', entry([text('a'), end, text('b'), end])],
    ['something after the end', entry([text('a'), end, text('b')])],
    ['an unknown delta', entry([{ type: 'text', text: 'a' }, end])],
    ['a negative count', entry([text('a'), { type: 'usage', usage: { inputTokens: -5 } }, end])],
    ['a text of another type', entry([{ type: 'text-delta', text: { toString: 'a' } }, end])],
    ['an answer that is larger than the limit', entry([text('x'.repeat(cacheLimits.answerBytesMax)), end])],
  ])('%s', async (_, value) => {
    const tenant = newTenant();
    const acme = counting();
    const key = keyOf(tenant, { provider: acme, model: 'one' }, request);
    await bucket().put(key, value);
    const { call } = gatewayWith(acme);
    expect(await call({ tenant })).toMatchObject({ come: [text('first'), end], result: { cached: false } });
    expect(await call({ tenant })).toMatchObject({ come: [text('first'), end], result: { cached: true } });
  });
});

test('a call of an alias finds the stored answer of any candidate, and the candidate that failed gets no request', async () => {
  const tenant = newTenant();
  const first = saying('first', [new CoppiceError('provider-failed', 'spend limit reached')]);
  const second = counting();
  second.name = 'second';
  const aliases = [{ name: 'fast', candidates: ['first/one', 'second/two'], strategy: 'order' as const }];
  const { call } = gatewayWith([first, second], { aliases });
  await call({ tenant, model: 'fast' });
  expect(await call({ tenant, model: 'fast' })).toMatchObject({
    come: [text('first'), end],
    result: { provider: 'second', model: 'two', cached: true },
  });
  expect((await call({ tenant, model: 'second/two' })).result.cached).toBe(true);
  expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
});

test('two identical concurrent calls both send a request', async () => {
  const tenant = newTenant();
  const acme = counting();
  const { call } = gatewayWith(acme);
  await Promise.all([call({ tenant }), call({ tenant })]);
  expect(acme.requests).toHaveLength(2);
});

describe('a bucket that', () => {
  const failing = new Error('no responders');
  test.each([
    ['can not be read', { get: () => Promise.reject(failing), put: async () => 1 }],
    ['does not answer', { get: () => new Promise<never>(() => {}), put: async () => 1 }],
    ['rejects writes', { get: async () => null, put: () => Promise.reject(failing) }],
  ])('%s fails no call', async (_, broken) => {
    const cache = new AnswerCache(broken, generous);
    const acme = saying('acme', [text('a'), end]);
    const exchanges = prepareExchanges({ providers: [acme], cache });
    const owner = { tenant: 'acme', runId: 'r1', taskId: 't1' };
    for (let calls = 0; calls < 2; calls++) {
      const { deltas, result } = startExchange(exchanges, {
        model: exchanges.routes.resolve('acme/one'),
        request,
        context: { owner, effectId: 'e', signal: new AbortController().signal },
        endsAtMs: Date.now() + 20_000,
      });
      expect(await read({ deltas })).toEqual({ come: [text('a'), end], error: null });
      expect(result.cached).toBe(false);
    }
    await cache.stop();
    expect(acme.requests).toHaveLength(2);
  });
});

test('a model that does not exist is rejected', async () => {
  await expect(gatewayWith(counting()).call({ model: 'other/one' })).rejects.toMatchObject({ code: 'model-not-found' });
});
