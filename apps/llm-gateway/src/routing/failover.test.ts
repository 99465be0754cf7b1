/** Tests over real connections which providers get the requests for an alias. */
import { CoppiceError } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { noPrices } from '../budget/prices.ts';
import { httpProvider } from '../transport/provider.ts';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import { completeCall } from '../test-support/call-exchange.ts';
import { playError, playStream, sse, startModelServer, textStream } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import { prepareExchanges } from './collaborators.ts';
import type { ExchangeSettings } from './collaborators.ts';

const aliases = [{ name: 'fast', candidates: ['first/one', 'second/two'], strategy: 'order' as const }];

let first: ModelServer;
let second: ModelServer;
const opened: { close?(): Promise<void> }[] = [];
beforeAll(async () => {
  [first, second] = await Promise.all([startModelServer(), startModelServer()]);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (provider) => provider.close?.()));
  for (const server of [first, second]) server.requests.length = 0;
});
afterAll(() => Promise.all([first.close(), second.close()]));

function exchanges(settings: Partial<ExchangeSettings> = {}) {
  const provider = (name: string, { baseUrl }: ModelServer) =>
    httpProvider({ name, wire: openAiChat, baseUrl, key: null, keyRequired: null });
  const providers = [provider('first', first), provider('second', second)];
  opened.push(...providers);
  return prepareExchanges({
    providers,
    aliases,
    ...settings,
    retry: { pauseMsMin: 1, pauseMsMax: 4, ...settings.retry },
  });
}
const requestCounts = () => [first.requests.length, second.requests.length];
const overloaded = playError(503, { error: { message: 'overloaded' } });
const answers = (text: string) => playStream(textStream(text));
const codes = (heard: { result: { attempts: readonly { error?: CoppiceError }[] } }) =>
  heard.result.attempts.map(({ error }) => error?.code ?? null);

describe('before the first output the request goes to the next candidate', () => {
  test.each<[string, Parameters<ModelServer['play']>[0], string]>([
    ['overloaded', overloaded, 'provider-failed'],
    [
      'a rejected key',
      playError(401, { error: { message: 'invalid key', code: 'invalid_api_key' } }),
      'provider-failed',
    ],
    ['a used-up quota', playError(429, { error: { message: 'no', code: 'insufficient_quota' } }), 'provider-failed'],
    ['a rate limit', playError(429, { error: { message: 'slow down' } }, { 'retry-after': '30' }), 'provider-limited'],
    ['no such model', playError(404, { error: { message: 'the model `one` does not exist' } }), 'model-not-found'],
    ['too long', playError(400, { error: { message: 'no', code: 'context_length_exceeded' } }), 'context-exceeded'],
    [
      'an error in a stream that began normally',
      playStream([textStream('')[0] ?? '', { error: { message: 'overloaded', code: 529 } }]),
      'provider-failed',
    ],
    ['a stream that is cut', playStream(textStream('').slice(0, 1)), 'provider-failed'],
    ['a page', playError(200, '<html>'), 'provider-failed'],
    ['a connection that breaks', (response) => response.destroy(), 'provider-failed'],
  ])('%s', async (_, answer, code) => {
    first.play(answer);
    second.play(answers('hello'));
    const heard = await completeCall(exchanges(), { model: 'fast' });
    expect(heard).toMatchObject({ text: 'hello', error: null, result: { provider: 'second', model: 'two' } });
    expect(codes(heard)).toEqual([code, null]);
    expect(requestCounts()).toEqual([1, 1]);
    expect(second.requests[0]?.body).toMatchObject({ model: 'two' });
  });
});

test('an attempt that the provider received is charged at its estimate, and a refused attempt is not charged', async () => {
  first.play(playStream(textStream('').slice(0, 1)));
  second.play(overloaded);
  const { result } = await completeCall(exchanges({ retry: { attemptsMax: 1 } }), { model: 'fast' });
  expect(result.attempts.map(({ usage }) => usage)).toEqual([{ inputTokens: 10, outputTokens: 0 }, {}]);
});

test('an invalid request is sent to no other candidate', async () => {
  first.play(playError(400, { error: { message: 'bad schema', type: 'invalid_request_error' } }));
  second.play(answers('hello'));
  const heard = await completeCall(exchanges(), { model: 'fast' });
  expect(heard).toMatchObject({ text: '', error: { code: 'invalid-request' } });
  expect(requestCounts()).toEqual([1, 0]);
});

test('after the first output the request goes to no other candidate, and the cut is reported', async () => {
  first.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse(textStream('half').slice(0, 2)), () => response.destroy());
  });
  second.play(answers('hello'));
  const heard = await completeCall(exchanges(), { model: 'fast' });
  expect(heard).toMatchObject({ text: 'half', error: { code: 'provider-failed' } });
  expect(heard.result.usage).toEqual({ inputTokens: 10, outputTokens: 1 });
  expect(requestCounts()).toEqual([1, 0]);
});

test('when all candidates have failed, each is tried again, and the final error names all', async () => {
  first.play(overloaded, overloaded, answers('at last'));
  second.play(playError(401, { error: { message: 'who are you?' } }));
  expect(await completeCall(exchanges(), { model: 'fast' })).toMatchObject({ text: 'at last', error: null });
  expect(requestCounts()).toEqual([3, 1]);

  first.play(playError(401, { error: { message: 'who are you?' } }));
  const { error } = await completeCall(exchanges(), { model: 'fast' });
  expect(error).toMatchObject({
    code: 'provider-failed',
    retryable: false,
    message:
      'fast: no model answered. first/one: first: who are you? (HTTP 401); second/two: second: who are you? (HTTP 401)',
    details: { candidates: [{ model: 'first/one' }, { model: 'second/two' }] },
  });
});

test('a conversation that is too long for one candidate is reported as such, whatever the errors of the others', async () => {
  first.play(playError(400, { error: { message: 'no', code: 'context_length_exceeded' } }));
  second.play(playError(401, { error: { message: 'who are you?' } }));
  expect((await completeCall(exchanges(), { model: 'fast' })).error).toMatchObject({ code: 'context-exceeded' });
});

test('a model that failed three times in a row gets no request for a minute, and then one call probes it', async () => {
  let passedMs = 0;
  const shared = exchanges({ now: () => performance.now() + passedMs });
  first.play(overloaded);
  second.play(answers('hello'));
  const call = () => completeCall(shared, { model: 'fast' });
  for (let calls = 0; calls < 5; calls++) expect((await call()).text).toBe('hello');
  expect(requestCounts()).toEqual([3, 5]);
  expect(shared.health.unavailable()).toEqual([{ provider: 'first', model: 'one', why: 'failing' }]);

  passedMs = 60_000;
  const tries = Promise.withResolvers<void>();
  first.play(async (response) => {
    await tries.promise;
    answers('there again')(response);
  });
  const probing = call();
  await expect.poll(requestCounts).toEqual([4, 5]);
  expect((await call()).text).toBe('hello');
  tries.resolve();
  expect((await probing).text).toBe('there again');
  expect((await call()).text).toBe('there again');
  expect(shared.health.unavailable()).toEqual([]);
});

test('a provider that states a wait gets no request during that time', async () => {
  const shared = exchanges();
  first.play(playError(429, { error: { message: 'slow down' } }, { 'retry-after': '30' }));
  second.play(answers('hello'));
  for (let calls = 0; calls < 3; calls++) expect((await completeCall(shared, { model: 'fast' })).text).toBe('hello');
  expect(requestCounts()).toEqual([1, 3]);
  expect(shared.health.unavailable()).toEqual([{ provider: 'first', model: 'one', why: 'cooling' }]);
});

test('a provider whose answer states that its limit is used up gets no request until the limit is reset', async () => {
  const shared = exchanges();
  first.play((response) => {
    response.setHeader('x-ratelimit-remaining-requests', '0');
    response.setHeader('x-ratelimit-reset-requests', '6m0s');
    answers('my last')(response);
  });
  second.play(answers('hello'));
  expect((await completeCall(shared, { model: 'fast' })).text).toBe('my last');
  expect((await completeCall(shared, { model: 'fast' })).text).toBe('hello');
});

test('when no model is available, the call waits for the first one that will be, if the wait is short enough', async () => {
  const limited = (retryAfterMs: number) =>
    playError(429, { error: { message: 'slow down' } }, { 'retry-after-ms': `${retryAfterMs}` });
  const shared = exchanges();
  first.play(limited(60_000));
  second.play(limited(30), answers('hello'));
  expect((await completeCall(shared, { model: 'fast' })).text).toBe('hello');
  expect(requestCounts()).toEqual([1, 2]);

  second.play(limited(40_000));
  expect((await completeCall(shared, { model: 'fast', candidateWaitMsMax: 1_000 })).error).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message: expect.stringContaining('no model answered. first/one is on cool-down for another'),
    details: { retryAfterMs: expect.any(Number) },
  });
  expect(requestCounts()).toEqual([1, 3]);
  const { error } = await completeCall(shared, { model: 'first/one', candidateWaitMsMax: 1_000 });
  expect(error).toMatchObject({
    code: 'provider-limited',
    message: expect.stringMatching(/^first\/one is on cool-down for another \d+ s: its limits are used up$/),
  });
  expect((error as CoppiceError).details?.['retryAfterMs']).toBeGreaterThan(1_000);
});

test('the number of concurrent calls at a provider is limited, the others wait, and an aborted call stops waiting', async () => {
  let inside = 0;
  let most = 0;
  first.play(async (response) => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setTimeout(resolve, 20));
    inside--;
    answers('hello')(response);
  });
  const shared = exchanges({ concurrencyOf: () => 2 });
  const leaving = new AbortController();
  const calls = Array.from({ length: 8 }, () => completeCall(shared, { model: 'first/one' }));
  const left = completeCall(shared, { model: 'first/one', signal: leaving.signal });
  leaving.abort(new CoppiceError('cancelled', 'no longer wanted'));
  expect((await left).error).toMatchObject({ code: 'cancelled', message: 'no longer wanted' });
  const heard = await Promise.all(calls);
  expect(heard.map(({ text }) => text)).toEqual(heard.map(() => 'hello'));
  expect(most).toBe(2);
  expect(heard.some(({ result }) => result.queuedMs > 0)).toBe(true);
  expect(first.requests).toHaveLength(8);
});

test('an abandoned call releases its place, and its upstream connection is closed', async () => {
  first.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse(textStream('half').slice(0, 2)));
  }, answers('hello'));
  const shared = exchanges({ concurrencyOf: () => 1 });
  const leaving = new AbortController();
  const left = completeCall(shared, { model: 'first/one', signal: leaving.signal });
  await expect.poll(requestCounts).toEqual([1, 0]);
  leaving.abort(new CoppiceError('cancelled', 'no longer wanted'));
  await left;
  await first.requests[0]?.abandoned;
  expect((await completeCall(shared, { model: 'first/one' })).text).toBe('hello');
});

test('the cost of an answer is calculated if the price is known, and includes failed attempts', async () => {
  const prices = { ...noPrices, costOf: (provider: string) => (provider === 'second' ? 0.5 : null) };
  first.play(overloaded);
  second.play(answers('hello'));
  expect((await completeCall(exchanges({ prices }), { model: 'fast' })).result).toMatchObject({
    costUsd: 0.5,
    usage: { costUsd: 0.5 },
  });
  first.play(answers('hello'));
  expect((await completeCall(exchanges({ prices }), { model: 'fast' })).result.costUsd).toBeNull();
});

test.each([
  [403, 'hello'],
  [404, 'hello'],
  [401, ''],
])('rejections with HTTP %i open the breaker only if the requests did not cause them', async (status, after) => {
  const settings = exchanges({ breaker: { failuresMax: 3, openMs: 60_000 } });
  first.play(playError(status, { error: { message: 'CachedContent not found (or permission denied)' } }));
  for (let count = 0; count < 3; count++) await completeCall(settings, { model: 'first/one', candidateWaitMsMax: 0 });
  first.play(answers('hello'));
  const { text } = await completeCall(settings, { model: 'first/one', candidateWaitMsMax: 0 });
  expect(text).toBe(after);
});

describe('a request that makes a provider fail', () => {
  const of = (tenant: string) => ({
    context: { owner: { tenant, runId: '', taskId: '' }, effectId: '', signal: new AbortController().signal },
    model: 'first/one',
    candidateWaitMsMax: 1_000,
  });
  const poison = {
    request: {
      messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'poison' }] }],
      tools: [],
      settings: {},
    },
  };
  const fails = () =>
    first.play((response, { body }) =>
      (JSON.stringify(body).includes('poison') ? overloaded : answers('hello'))(response),
    );

  test('does not open the breaker by itself, although it is retried', async () => {
    const shared = exchanges();
    fails();
    expect((await completeCall(shared, { ...of('one'), ...poison })).result.attempts).toHaveLength(4);
    expect((await completeCall(shared, of('one'))).text).toBe('hello');
  });

  test('opens the breaker only for its own tenant, however often it is sent', async () => {
    const shared = exchanges();
    fails();
    for (let calls = 0; calls < 5; calls++) await completeCall(shared, { ...of('one'), ...poison });
    expect(requestCounts()).toEqual([4 + 4 + 1, 0]);
    expect((await completeCall(shared, of('one'))).error).toMatchObject({ code: 'provider-failed' });
    expect((await completeCall(shared, of('other'))).text).toBe('hello');
  });
});
