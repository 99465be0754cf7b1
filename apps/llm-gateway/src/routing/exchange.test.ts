import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ModelDelta, Provider } from '../provider/port.ts';
import { startCall, read } from '../test-support/call-exchange.ts';
import type { CallOptions } from '../test-support/call-exchange.ts';
import { end, saying, text } from '../test-support/says.ts';
import { prepareExchanges } from './collaborators.ts';
import type { Exchange } from './exchange.ts';
import { exchangeLimits } from './limits.ts';

const retry = { pauseMsMin: 1, pauseMsMax: 2, retryAfterMsMax: 60_000 };
const passing = new CoppiceError('provider-failed', 'overloaded', { retryable: true });
const lasting = new CoppiceError('provider-failed', 'spend limit reached');
const limited = (retryAfterMs: number) => new CoppiceError('provider-limited', 'wait', { details: { retryAfterMs } });
const used = (inputTokens: number, outputTokens: number): ModelDelta => ({
  type: 'usage',
  usage: { inputTokens, outputTokens },
});

const callTo = (provider: Provider, options: Partial<CallOptions> = {}): Exchange =>
  startCall(prepareExchanges({ providers: [provider], retry }), { model: 'acme/one', ...options });

test('the deltas of an answer are passed on; the result names its provider', async () => {
  const acme = saying('acme', [{ type: 'response-start', responseModel: 'one-1' }, text('a'), used(7, 1), end]);
  const exchange = callTo(acme);
  expect(await read(exchange)).toEqual({
    come: [{ type: 'response-start', responseModel: 'one-1' }, text('a'), used(7, 1), end],
    error: null,
  });
  expect(exchange.result).toMatchObject({
    provider: 'acme',
    model: 'one',
    usage: { inputTokens: 7, outputTokens: 1 },
    costUsd: null,
    cached: false,
  });
  expect(exchange.result.attempts).toEqual([
    { provider: 'acme', model: 'one', usage: { inputTokens: 7, outputTokens: 1 }, latencyMs: expect.any(Number) },
  ]);
  expect(acme.requests[0]?.request).toMatchObject({ model: 'one', tools: [] });
});

test('counts that only exist for their prices are not reported', async () => {
  const usage = { inputTokens: 7, outputTokens: 1, cacheWriteInputTokens: 3 };
  const reported: ModelDelta = {
    type: 'usage',
    usage: { ...usage, cacheWriteHourInputTokens: 2, audioInputTokens: 1 },
  };
  const exchange = callTo(saying('acme', [text('a'), reported, end]));
  await read(exchange);
  expect(exchange.result.usage).toEqual(usage);
  expect(exchange.result.attempts).toMatchObject([{ usage }]);
});

test('nothing of an attempt that failed before its output is passed on, and its usage is counted', async () => {
  const acme = saying(
    'acme',
    [{ type: 'response-start', responseId: 'lost' }, used(5, 0), passing],
    [passing],
    [text('a'), used(7, 1), end],
  );
  const exchange = callTo(acme);
  expect((await read(exchange)).come).toEqual([text('a'), used(7, 1), end]);
  expect(exchange.result.usage).toEqual({ inputTokens: 12, outputTokens: 1 });
  expect(exchange.result.attempts.map(({ error }) => error?.message)).toEqual(['overloaded', 'overloaded', undefined]);
});

const ended = (fields: object): ModelDelta => ({ type: 'response-end', finishReason: 'stop', ...fields });

test('an answer without content that ended abnormally is requested again', async () => {
  const odd = ended({ finishReason: 'other', providerFinishReason: 'MALFORMED_FUNCTION_CALL' });
  const acme = saying('acme', [used(7, 1), odd], [text('a'), end]);
  const exchange = callTo(acme);
  expect((await read(exchange)).come).toEqual([text('a'), end]);
  expect(exchange.result.attempts[0]?.error).toMatchObject({
    message: 'acme ended its answer without any content (MALFORMED_FUNCTION_CALL)',
  });
  const never = saying('acme', [odd], [odd], [odd]);
  const learning = Object.assign(never, { wire: 'gemini' as const });
  const exchanges = prepareExchanges({ providers: [learning], retry, breaker: { failuresMax: 1 } });
  expect((await read(startCall(exchanges, { model: 'acme/one' }))).error).toMatchObject({ retryable: true });
  // The provider charges for each attempt. Since it answers, the breaker doesn't open.
  expect(never.requests).toHaveLength(2);
  expect(exchanges.health.unavailable()).toEqual([]);
  // An answer with text is passed on. So are raw events, since the client validates them itself.
  expect((await read(callTo(saying('acme', [text('a'), odd])))).error).toBeNull();
  const raw: ModelDelta = { type: 'raw', whole: true, name: null, data: '{}' };
  expect((await read(callTo(saying('acme', [raw, odd])))).error).toBeNull();
});

test("an image that can't be passed on is an error that is not retried, since another would cost as much", async () => {
  const acme = saying('acme', [text('Here it is:'), ended({ lost: 'image/png' })]);
  const { error } = await read(callTo(acme));
  const message = "acme answered with image/png, which the gateway can't pass on";
  expect(error).toMatchObject({ code: 'provider-failed', retryable: false, message });
  expect(acme.requests).toHaveLength(1);
});

test('the caller confirms each attempt, and an attempt that is not confirmed sends no request and releases everything', async () => {
  const acme = saying('acme', [passing], [text('a'), end], [text('b'), end]);
  const exchanges = prepareExchanges({ providers: [acme], retry });
  const gone = new Error('another process has taken it over');
  let confirmed = 0;
  const once = async () => {
    if (++confirmed > 1) throw gone;
  };
  const left = startCall(exchanges, { model: 'acme/one', beforeAttempt: once });
  expect(await read(left)).toEqual({ come: [], error: gone });
  expect(acme.requests).toHaveLength(1);
  expect(left.result.attempts).toHaveLength(1);
  // The signal ends a call that waits for `beforeAttempt`.
  const waiting = new AbortController();
  const reason = new CoppiceError('cancelled', 'by the user');
  const beforeAttempt = () => {
    setImmediate(() => waiting.abort(reason));
    return new Promise<void>(() => {});
  };
  const unconfirmed = startCall(exchanges, { model: 'acme/one', signal: waiting.signal, beforeAttempt });
  expect(await read(unconfirmed)).toEqual({ come: [], error: reason });
  expect(acme.requests).toHaveLength(1);
  expect((await read(startCall(exchanges, { model: 'acme/one' }))).come).toEqual([text('a'), end]);
});

test('after output no further request is sent, the caller gets an error, and the partial answer is charged', async () => {
  const acme = saying('acme', [text('half of it'), passing], [text('whole'), end]);
  const exchange = callTo(acme);
  expect(await read(exchange)).toEqual({ come: [text('half of it')], error: passing });
  expect(exchange.result.usage).toEqual({ inputTokens: 10, outputTokens: 3 });
  expect(acme.requests).toHaveLength(1);
});

test.each([
  ['in the middle', [text('half')], 1],
  ['before it began', [], 4],
])('a stream that ends %s without response-end is an error', async (where, steps, attempts) => {
  const exchange = callTo(saying('acme', steps));
  expect((await read(exchange)).error).toMatchObject({
    code: 'provider-failed',
    message: `acme ended its answer ${where}`,
    retryable: true,
  });
  expect(exchange.result.attempts).toHaveLength(attempts);
});

test('an error that is permanent, or states a wait beyond the limits, is not retried', async () => {
  for (const error of [lasting, limited(60_001), limited(30_000)]) {
    const acme = saying('acme', [error], [end]);
    expect(await read(callTo(acme))).toEqual({ come: [], error });
    expect(acme.requests).toHaveLength(1);
  }
});

test('a defect of a provider is an error that is not retryable', async () => {
  expect((await read(callTo(saying('acme', [new TypeError('oops')])))).error).toMatchObject({
    code: 'provider-failed',
    message: 'acme failed: oops',
    retryable: false,
  });
});

test('the number of deltas held back before the output is limited', async () => {
  const raw = (data: string): ModelDelta => ({ type: 'raw', whole: false, name: null, data });
  const many = Array.from({ length: exchangeLimits.peekEventsMax }, () => raw('ping'));
  const large = raw('x'.repeat(exchangeLimits.peekBytesMax));
  for (const opening of [many, [large]]) {
    const acme = saying('acme', [...opening, passing], [end]);
    expect(await read(callTo(acme))).toEqual({ come: opening, error: passing });
    expect(acme.requests).toHaveLength(1);
  }
});

test.each([
  ['responseModel', 513],
  ['responseId', 16_385],
])('an invalid %s of %i characters is not repeated with each piece', async (name, characters) => {
  const start = { type: 'response-start', [name]: 'x'.repeat(characters) } as ModelDelta;
  const exchange = callTo(saying('acme', [start, text('a'), end]));
  expect(await read(exchange)).toMatchObject({ come: [], error: { code: 'limit-exceeded' } });
});

test('the time limit ends a call even if the provider ignores the signal', async () => {
  const exchange = callTo(saying('acme', ['hang']), { endsAtMs: Date.now() + 20 });
  expect((await read(exchange)).error).toMatchObject({
    code: 'deadline-exceeded',
    message: expect.stringMatching(/^acme\/one did not answer within \d+ ms$/),
  });
  expect(exchange.result.attempts).toHaveLength(1);
});

test.each(['before', 'after'])('the caller’s signal ends a call %s its output', async (when) => {
  const abort = new AbortController();
  const steps = when === 'before' ? [used(3, 0)] : [text('half')];
  const exchange = callTo(saying('acme', [...steps, 'hang']), { signal: abort.signal });
  setTimeout(() => abort.abort(new CoppiceError('cancelled', 'no longer wanted')), 10);
  expect((await read(exchange)).error).toMatchObject({ code: 'cancelled', message: 'no longer wanted' });
  expect(exchange.result.usage).toEqual(
    when === 'before' ? { inputTokens: 3, outputTokens: 0 } : { inputTokens: 10, outputTokens: 1 },
  );
});

test('the signal ends the pause before another attempt', async () => {
  const abort = new AbortController();
  const acme = saying('acme', [limited(15_000)], [end]);
  const reading = read(callTo(acme, { signal: abort.signal }));
  await expect.poll(() => acme.requests.length).toBe(1);
  abort.abort(new CoppiceError('cancelled', 'no longer wanted'));
  expect((await reading).error).toMatchObject({ code: 'cancelled' });
  expect(acme.requests).toHaveLength(1);
});

test('ending the iteration early ends the upstream call, and the partial answer is charged', async () => {
  const acme = saying('acme', [text('half'), text('rest'), end]);
  const exchange = callTo(acme);
  for await (const deltas of exchange.deltas) {
    expect(deltas).toEqual([text('half')]);
    break;
  }
  await expect.poll(() => acme.requests).toMatchObject([{ left: true }]);
  expect(exchange.result).toMatchObject({
    usage: { inputTokens: 10, outputTokens: 1 },
    attempts: [{ error: { code: 'cancelled' } }],
  });
});

test('the result is complete when response-end is passed on', async () => {
  const exchange = callTo(saying('acme', [text('a'), used(7, 1), end]));
  for await (const deltas of exchange.deltas) {
    expect(exchange.result.attempts).toHaveLength(deltas.at(-1)?.type === 'response-end' ? 1 : 0);
  }
});

test('no request is sent before the deltas are read, and none to a provider that does not exist', () => {
  const acme = saying('acme', [end]);
  const exchange = callTo(acme);
  expect(() => callTo(acme, { model: 'other/one' })).toThrow(
    expect.objectContaining({ code: 'model-not-found', message: expect.stringContaining('"other/one"') }),
  );
  expect(exchange.result).toMatchObject({ provider: null, model: null, attempts: [] });
  expect(acme.requests).toEqual([]);
});
