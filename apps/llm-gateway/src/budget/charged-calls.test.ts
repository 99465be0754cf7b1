import { Bus } from '@coppice/bus';
import { CoppiceError, buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelDelta, Provider } from '../provider/port.ts';
import { chargedCall, used } from '../test-support/charged-call.ts';
import { end, saying, text } from '../test-support/says.ts';
import { noPrices, pricesFrom } from './prices.ts';
import { budgetsOf } from './budgets-of-account.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'charged' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus?.close();
  await nats?.stop();
});

const passing = new CoppiceError('provider-failed', 'overloaded', { retryable: true });

const call = (...about: Parameters<typeof chargedCall> extends [Bus, ...infer Rest] ? Rest : never) =>
  chargedCall(bus, ...about);

test('a call that could exceed its budget sends no request', async () => {
  const acme = saying('acme', [text('a'), end]);
  const { error } = await call(acme, 't1', { tokens: 99 });
  expect(error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'task t1', limit: { tokens: 99 } } });
  expect(acme.requests).toHaveLength(0);
});

test('usage is settled in tokens and in money', async () => {
  const outcome = await call(saying('acme', [text('a'), used(12, 8), end]), 't2', { tokens: 100, costUsd: 0.1 });
  expect(outcome).toEqual({ error: null, spent: { tokens: 20, nanoUsd: 20_000_000 } });
  const dear = await call(saying('acme', [text('a'), used(12, 8), end]), 't3', { costUsd: 0.099 });
  expect(dear.error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'task t3' } });
});

test('tokens that the provider read from its cache or wrote to it are charged at their own prices', async () => {
  const price = { model: 'acme/*', input: 1_000, output: 1_000, cachedInput: 100, cacheWriteInput: 1_250 };
  const cached: ModelDelta = {
    type: 'usage',
    usage: { inputTokens: 100, outputTokens: 8, cachedInputTokens: 60, cacheWriteInputTokens: 20 },
  };
  const known = pricesFrom({ own: [price], baseUrlOf: () => null });
  const { spent } = await call(saying('acme', [text('a'), cached, end]), 't11', { costUsd: 1 }, {}, known);
  expect(spent).toEqual({ tokens: 108, nanoUsd: 20_000_000 + 6_000_000 + 25_000_000 + 8_000_000 });
});

test('tokens that the provider caches for an hour are reserved and charged at their own price', async () => {
  const price = { model: 'acme/*', input: 1_000, output: 1_000, cacheWriteInput: 1_250, cacheWriteHourInput: 2_000 };
  const known = pricesFrom({ own: [price], baseUrlOf: () => null });
  const counts = { inputTokens: 30, outputTokens: 8, cacheWriteInputTokens: 30 };
  const written: ModelDelta = { type: 'usage', usage: { ...counts, cacheWriteHourInputTokens: 20 } };
  const callWith = (id: string, ttl: string, costUsd: number) => {
    const mark = { cache_control: { type: 'ephemeral', ttl } };
    const body = { system: [{ type: 'text', text: 'Say "ttl":"1h".', ...mark }] };
    const request = { messages: [], tools: [], settings: { maxOutputTokens: 8 }, bytes: 90 };
    const original = { wire: 'anthropic' as const, body, headers: {} };
    const acme = saying('acme', [text('a'), written, end]);
    return call(acme, id, { costUsd }, { request: { ...request, original } }, known);
  };
  // Each call uses 30 input tokens and 8 output tokens.
  expect(await callWith('hour', '1h', 0.068)).toEqual({
    error: null,
    spent: { tokens: 38, nanoUsd: 40_000_000 + 12_500_000 + 8_000_000 },
  });
  expect(await callWith('hour-short', '1h', 0.067)).toMatchObject({ error: { code: 'limit-exceeded' } });
  expect(await callWith('minutes', '5m', 0.067)).toMatchObject({ error: null });
});

test('a configured price takes precedence over the cost that the provider reports', async () => {
  const reported: ModelDelta = { type: 'usage', usage: { inputTokens: 12, outputTokens: 8, costUsd: 0.5 } };
  const answering = () => saying('acme', [text('a'), reported, end]);
  expect(await call(answering(), 't12', { costUsd: 1 })).toMatchObject({ spent: { nanoUsd: 20_000_000 } });
  expect(await call(answering(), 't13', { costUsd: 1 }, {}, noPrices)).toMatchObject({
    spent: { nanoUsd: 500_000_000 },
  });
});

test('each attempt has its own reservation, and a cut answer is charged for the part that arrived', async () => {
  const retried = await call(saying('acme', [used(12, 0), passing], [text('a'), used(12, 8), end]), 't4', {
    tokens: 130,
  });
  expect(retried).toEqual({ error: null, spent: { tokens: 32, nanoUsd: 32_000_000 } });
  const cut = await call(saying('acme', [text('abcd'), used(12, 3)]), 't5', { tokens: 130 });
  expect(cut).toMatchObject({ error: { code: 'provider-failed' }, spent: { tokens: 15 } });
});

test('an implausible count is treated as missing', async () => {
  const absurd = saying('acme', [text('abcd'), used(Number.MAX_SAFE_INTEGER, 8), end]);
  const { spent } = await call(absurd, 'absurd', { tokens: 1_000 });
  // 8 tokens estimated for 30 bytes of input, and 8 output tokens.
  expect(spent).toEqual({ tokens: 16, nanoUsd: 16_000_000 });
  const dear: ModelDelta = { type: 'usage', usage: { inputTokens: 12, outputTokens: 8, costUsd: 1e7 } };
  const outcome = await call(saying('acme', [text('a'), dear, end]), 'absurd-cost', { tokens: 1_000 }, {}, noPrices);
  expect(outcome).toEqual({ error: null, spent: { tokens: 20, nanoUsd: 0 } });
});

test('the limit of a call applies to all its attempts together, and is not stored', async () => {
  const callWith = async (id: string, limit: number) => {
    const account = { owner: { tenant: 'acme', runId: '', taskId: '' }, call: { id, limits: { tokens: limit } } };
    const budgets = budgetsOf(account, [], new Date());
    const { error } = await call(saying('acme', [used(12, 0), passing], [text('a'), end]), id, {}, { budgets });
    const key = budgets[0]?.key ?? '';
    return { error, stored: await bus.keyValue(buckets.budgets).get(key) };
  };
  // Each attempt may need 100 tokens, and the first attempt used 12.
  expect(await callWith('enough', 112)).toEqual({ error: null, stored: null });
  const { error, stored } = await callWith('less', 111);
  expect(error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'this call', spent: { tokens: 12 } } });
  expect(stored).toBeNull();
});

describe('a request without an output limit', () => {
  const message = { role: 'user' as const, content: [{ type: 'text' as const, text: 'x'.repeat(30) }] };
  const original = { wire: 'openai-chat' as const, body: {}, headers: {} };
  const request = { messages: [message], tools: [], settings: {}, original };
  const answering = () => saying('acme', [text('a'), used(10, 8), end]);
  const unchanged = { settings: {}, original };

  test.each([
    ['tokens', { tokens: 1_000 }, 990],
    ['dollars', { costUsd: 0.5 }, 490],
    ['tokens and dollars', { tokens: 1_000, costUsd: 0.5 }, 490],
    ['the least that is of use', { tokens: 266 }, 256],
  ])('is limited to the %s that are left, and the model gets that limit', async (name, limits, maxOutputTokens) => {
    const acme = answering();
    const { error, spent } = await call(acme, `small-${name.replaceAll(' ', '-')}`, limits, { request });
    expect([error, spent]).toMatchObject([null, { tokens: 18 }]);
    expect(acme.requests).toMatchObject([
      { request: { settings: { maxOutputTokens }, original: { ...original, maxOutputTokens } } },
    ]);
  });

  test('is limited to the amount that is left in each of its budgets', async () => {
    const acme = answering();
    const owner = { tenant: 'acme', runId: 'r-small', taskId: 'small-both' };
    const limits = { task: { tokens: 2_000 }, run: { tokens: 1_000 } };
    const { error } = await call(
      acme,
      owner.taskId,
      {},
      { request, budgets: budgetsOf({ owner, limits }, [], new Date()) },
    );
    expect(error).toBeNull();
    expect(acme.requests).toMatchObject([{ request: { settings: { maxOutputTokens: 990 } } }]);
  });

  test('is rejected if the answer would be too short to be useful', async () => {
    const acme = answering();
    const { error } = await call(acme, 'small-none', { tokens: 265 }, { request });
    expect(error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'task small-none' } });
    expect(acme.requests).toEqual([]);
  });

  test('is passed on unchanged if enough is left', async () => {
    const acme = answering();
    await call(acme, 'small-enough', { tokens: 10_000 }, { request });
    expect(acme.requests).toMatchObject([{ request: unchanged }]);
    expect(acme.requests[0]?.request.settings).toEqual({});
  });

  test('never uses more than the budget has, even with many concurrent calls at several gateways', async () => {
    /** Provider that uses half of the output limit of each request. */
    const greedy: Provider = {
      ...saying('acme'),
      async *stream({ settings }) {
        yield [text('a')];
        yield [used(10, Math.floor((settings.maxOutputTokens ?? Number.NaN) / 2))];
        yield [end];
      },
    };
    const limit = 3_000;
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, () => call(greedy, 'small-race', { tokens: limit }, { request })),
    );
    const answered = outcomes.filter(({ error }) => error === null);
    expect(answered.length).toBeGreaterThan(1);
    const errors = outcomes.flatMap(({ error }) => (error === null ? [] : [error]));
    expect(errors.filter((error) => (error as CoppiceError).code !== 'limit-exceeded')).toEqual([]);
    const entry = await bus.keyValue(buckets.budgets).get('task.acme.small-race');
    const { spent } = JSON.parse(new TextDecoder().decode(entry?.value)) as { spent: { tokens: number } };
    expect(spent.tokens).toBeLessThanOrEqual(limit);
    // The rest of the budget is too small for a useful answer.
    expect(limit - spent.tokens).toBeLessThan(266);
  }, 30_000);
});

test('a model without a known price gets no request under a limit in dollars', async () => {
  const acme: Provider = Object.assign(saying('acme', [text('a'), used(12, 8), end]), { wire: 'openai-chat' as const });
  const elsewhere = pricesFrom({ own: [], baseUrlOf: () => 'http://127.0.0.1:8801' });
  const { error } = await call(acme, 't6', { costUsd: 5 }, { model: 'acme/one' }, elsewhere);
  expect(error).toMatchObject({
    code: 'permission-denied',
    message:
      "task t6 has a limit in US dollars, and what acme/one costs is not known, since its requests go to 127.0.0.1:8801, not at a vendor of the price list: give it a price in the gateway's file",
    details: { budget: 'task t6', limit: { costUsd: 5 }, priceUnknown: true },
  });
  expect(acme).toMatchObject({ requests: [] });
  expect(await call(acme, 't7', { tokens: 500 }, {}, noPrices)).toMatchObject({ error: null, spent: { tokens: 20 } });
});

describe('for a call of an alias under a limit in dollars', () => {
  const overHttp = { wire: 'openai-chat' as const };
  const own = { model: 'acme/*', input: 1_000, output: 1_000 };
  const pricesWith = (...more: (typeof own)[]) => pricesFrom({ own: [own, ...more], baseUrlOf: () => null });
  const dearer = { model: 'dear/*', input: 100_000, output: 100_000 };
  const answering = (name: string) => Object.assign(saying(name, [text('a'), used(12, 8), end]), overHttp);

  test.each([
    ['without a price', pricesWith()],
    ['that is too expensive', pricesWith(dearer)],
  ])('a candidate %s is skipped', async (what, known) => {
    const [dear, acme] = [answering('dear'), answering('acme')];
    const outcome = await call(
      [dear, acme],
      `next-${what.replaceAll(' ', '-')}`,
      { costUsd: 1 },
      { model: 'fast' },
      known,
    );
    expect(outcome).toEqual({ error: null, spent: { tokens: 20, nanoUsd: 20_000_000 } });
    expect([dear.requests.length, acme.requests.length]).toEqual([0, 1]);
  });

  test('the error names each candidate with its reason if none is left', async () => {
    const [dear, acme] = [answering('dear'), answering('acme')];
    const { error } = await call([dear, acme], 'next-nobody', { costUsd: 0.01 }, { model: 'fast' }, pricesWith(dearer));
    expect(error).toMatchObject({
      code: 'limit-exceeded',
      message: expect.stringMatching(
        /^fast: no model is available\. dear\/one: .*the next turn may need 10; acme\/one: .*the next turn may need 0\.1$/,
      ),
      details: { budget: 'task next-nobody', candidates: [{ model: 'dear/one' }, { model: 'acme/one' }] },
    });
    expect([dear.requests, acme.requests]).toEqual([[], []]);
  });

  test('the error names the errors of the other candidates if they had requests', async () => {
    const acme = Object.assign(saying('acme', [new CoppiceError('provider-failed', 'spend limit reached')]), overHttp);
    const { error } = await call(
      [answering('dear'), acme],
      'next-failed',
      { costUsd: 1 },
      { model: 'fast' },
      pricesWith(),
    );
    expect(error).toMatchObject({
      code: 'provider-failed',
      message: expect.stringMatching(
        /^fast: no model answered\. .*what dear\/one costs is not known.*spend limit reached$/,
      ),
    });
  });
});

test('a request that the provider received is charged at its estimate even if the caller leaves before any output', async () => {
  const silent: Provider = {
    ...saying('acme'),
    async *stream(_request, context) {
      context.onState?.('sent');
      yield [{ type: 'response-start' }];
      leaving.abort(new CoppiceError('cancelled', 'the client left'));
      await new Promise(() => {});
    },
  };
  const leaving = new AbortController();
  const owner = { tenant: 'acme', runId: 'r1', taskId: 't8' };
  const tools = [{ name: 'f', description: 'x'.repeat(400), parameters: {} }];
  const request = { messages: [], tools, settings: { maxOutputTokens: 10 }, bytes: 4_000 };
  const { error, spent } = await call(
    silent,
    't8',
    { tokens: 10_000 },
    {
      request,
      context: { owner, effectId: 'e', signal: leaving.signal },
    },
  );
  expect(error).toMatchObject({ code: 'cancelled' });
  expect(spent).toMatchObject({ tokens: 1_000 });
});

test('a tenant has its own limit for the month, and a tenant without one has the default limit', () => {
  const tenants = [
    { tenant: 'acme', per: 'month' as const, costUsd: 5 },
    { tenant: '*', per: 'day' as const, tokens: 1_000 },
  ];
  const keys = (tenant: string) =>
    budgetsOf({ owner: { tenant, runId: '', taskId: '' } }, tenants, new Date('2026-11-30T23:59:59Z')).map(
      ({ key, name, limit }) => ({ key, name, limit }),
    );
  expect(keys('acme')).toEqual([{ key: 'tenant.acme.2026-11', name: 'tenant acme in 2026-11', limit: { costUsd: 5 } }]);
  expect(keys('other')).toEqual([
    { key: 'tenant.other.2026-11-30', name: 'tenant other in 2026-11-30', limit: { tokens: 1_000 } },
  ]);
});
