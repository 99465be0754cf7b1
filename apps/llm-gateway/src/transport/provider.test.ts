import { setTimeout as sleep } from 'node:timers/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Attempt } from '../collect.ts';
import { callOnce, providerServerAt, generous, hello, smallRequest } from '../test-support/attempt.ts';
import { playError, playStream, sse, startModelServer, textStream } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import type { Provider } from '../provider/port.ts';
import { httpProvider } from './provider.ts';

const { key } = providerServerAt('http://127.0.0.1');

let server: ModelServer;
let provider: Provider;
beforeAll(async () => {
  server = await startModelServer();
  provider = httpProvider(providerServerAt(server.baseUrl), generous);
});
afterAll(async () => {
  await provider.close?.();
  await server.close();
});
beforeEach(() => {
  server.requests.length = 0;
});

const callProvider = (from = provider): Promise<Attempt> => callOnce(from);

test('a call sends the correct request and reads the answer', async () => {
  server.play(playStream(textStream('hello')));
  expect(await callProvider()).toMatchObject({ ...hello, usage: { inputTokens: 11, outputTokens: 3 } });
  expect(server.requests[0]).toMatchObject({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: { model: 'acme-1', stream: true, stream_options: { include_usage: true } },
  });
});

test('a connection is reused', async () => {
  server.play(playStream(textStream('hello')));
  const own = httpProvider(providerServerAt(server.baseUrl));
  for (let calls = 0; calls < 3; calls++) {
    await callProvider(own);
    // The client needs a moment to notice that the connection is free.
    await sleep(20);
  }
  expect(new Set(server.requests.map(({ port }) => port)).size).toBe(1);
  await own.close?.();
});

test("deltas that arrive together are passed on together, except for the first output, which needn't wait for the rest", async () => {
  const all = textStream('hello');
  const chunk = (text: string) => ({ choices: [{ index: 0, delta: { content: text } }] });
  server.play(playStream([...all.slice(0, -3), chunk(' and'), chunk(' more'), ...all.slice(-3)]));
  const owner = { tenant: 'default', runId: 'r1', taskId: 't1' };
  const context = { signal: new AbortController().signal, effectId: 'e1', owner };
  const bundles = await Array.fromAsync(provider.stream(smallRequest, context));
  const texts = bundles.map((deltas) => deltas.flatMap((delta) => (delta.type === 'text-delta' ? [delta.text] : [])));
  expect(texts.filter((each) => each.length > 0)).toEqual([['hello'], [' and', ' more']]);
});

test('no key is sent if there is none', async () => {
  server.play(playStream(textStream('hello')));
  const open = httpProvider({ ...providerServerAt(server.baseUrl), key: null });
  expect(await callProvider(open)).toMatchObject(hello);
  expect(server.requests[0]?.headers.authorization).toBeUndefined();
  await open.close?.();
});

test('nothing is sent if a required key is missing', async () => {
  const keyless = httpProvider({ ...providerServerAt(server.baseUrl), key: null, keyRequired: 'OPENAI_API_KEY' });
  expect(await callProvider(keyless)).toMatchObject({
    error: {
      message: 'there is no key for acme: set OPENAI_API_KEY and restart the stack (coppice down, coppice up)',
      retryable: false,
    },
  });
  expect(server.requests).toEqual([]);
});

test('however the network splits the bytes, the answer is the same', async () => {
  const bytes = Buffer.from(sse(textStream('Grüße 你好 👩‍💻')));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 6 }), async (cuts) => {
      server.play(async (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
        let from = 0;
        for (const to of [...cuts.toSorted((one, other) => one - other), bytes.length]) {
          response.write(bytes.subarray(from, to));
          from = to;
          await sleep(1);
        }
        response.end();
      });
      expect(await callProvider()).toMatchObject({ ...hello, text: 'Grüße 你好 👩‍💻' });
    }),
    { numRuns: 25 },
  );
});

describe('a response that is not a stream of events', () => {
  test.each([
    [
      'a page',
      playError(200, '<html>Welcome</html>'),
      { message: expect.stringContaining('text/html'), retryable: false },
    ],
    [
      'an empty answer',
      playError(200, '', { 'content-type': 'text/event-stream' }),
      { message: expect.stringContaining('before it began'), retryable: true },
    ],
    [
      'plain text',
      playError(200, 'Welcome\n', { 'content-type': 'text/plain' }),
      { message: expect.stringContaining('base URL') },
    ],
    [
      'an error as JSON',
      playError(200, { error: { message: 'Overloaded', code: 529 } }),
      { code: 'provider-failed', retryable: true },
    ],
    ['JSON of another kind', playError(200, { hello: 'world' }), { code: 'provider-failed' }],
    [
      'a redirect',
      playError(307, '', { location: 'http://127.0.0.1:1/' }),
      { message: expect.stringContaining('redirect'), retryable: false },
    ],
  ])('%s is a failure', async (_, answer, error) => {
    server.play(answer);
    expect(await callProvider()).toMatchObject({ status: 'failed', outputBegan: false, error });
    expect(server.requests).toHaveLength(1);
  });

  test('an unstreamed answer is accepted', async () => {
    const message = { role: 'assistant', content: 'hello' };
    const usage = { prompt_tokens: 1, completion_tokens: 2 };
    server.play(
      playError(200, { model: 'acme-1-2026', choices: [{ index: 0, message, finish_reason: 'stop' }], usage }),
    );
    expect(await callProvider()).toMatchObject({ ...hello, usage: { inputTokens: 1, outputTokens: 2 } });
  });

  test.each(['text/plain', 'application/octet-stream', null])('events are read even as %s', async (contentType) => {
    server.play(playStream(textStream('hello'), contentType));
    expect(await callProvider()).toMatchObject(hello);
  });
});

describe('a rejected request', () => {
  test.each([
    [
      playError(429, { error: { message: 'slow down' } }, { 'retry-after-ms': '70', 'retry-after': '9' }),
      { code: 'provider-limited', retryable: true, details: { retryAfterMs: 70 } },
    ],
    [
      playError(429, { error: { message: 'x' } }, { 'x-ratelimit-reset-requests': '6m0s' }),
      { code: 'provider-limited', details: { retryAfterMs: 360_000 } },
    ],
    [
      playError(429, { error: { message: 'You reached your spend limit' } }),
      { code: 'provider-failed', retryable: false },
    ],
    [playError(404, { error: 'model "acme-1" not found' }), { code: 'model-not-found' }],
    [playError(500, '<html>'), { code: 'provider-failed', retryable: true }],
    [playError(400, { error: { message: 'x'.repeat(100_000) } }), { code: 'invalid-request' }],
  ])('is reported with the correct code', async (answer, error) => {
    server.play(answer);
    expect(await callProvider()).toMatchObject({ status: 'failed', outputBegan: false, error });
  });

  test('no error contains the key, even if the server repeats it', async () => {
    const quoting = { error: { message: `no such key: ${key}`, code: key } };
    const inStream = playStream([quoting]);
    const named = (response: Parameters<typeof inStream>[0]) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`event: error\ndata: ${JSON.stringify(quoting)}\n\n`);
    };
    for (const answer of [
      playError(401, quoting),
      playError(200, quoting),
      playError(500, `<p>${key}`),
      inStream,
      named,
    ]) {
      server.play(answer);
      const attempt = await callProvider();
      expect(attempt.status).toBe('failed');
      if (attempt.status !== 'failed') continue;
      const { error } = attempt;
      expect(JSON.stringify([error.toWire(), error.stack, String(error.cause)])).not.toContain(key);
      expect(error.message).toContain('[redacted]');
    }
  });
});

test('the error for a server that does not exist, or closes the connection, names its address', async () => {
  const nobody = createServer().listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  nobody.close();
  await once(nobody, 'close');
  const missing = httpProvider(providerServerAt(`http://127.0.0.1:${port}/v1`));
  expect(await callProvider(missing)).toMatchObject({
    outputBegan: false,
    error: { message: `acme: the connection to 127.0.0.1:${port} failed (ECONNREFUSED)`, retryable: true },
  });
  expect(await missing.describe(AbortSignal.timeout(1_000))).toMatchObject({
    reachable: false,
    problem: expect.stringContaining('ECONNREFUSED'),
  });
  server.play((response) => response.destroy());
  expect(await callProvider()).toMatchObject({
    outputBegan: false,
    error: { code: 'provider-failed', retryable: true },
  });
});

describe('the check of the provider', () => {
  const models = {
    object: 'list',
    data: Array.from({ length: 9 }, (_, index) => ({ id: `m${index}`, object: 'model' })),
  };

  test('reports some models and the host, and neither key nor path', async () => {
    server.play(playError(200, models));
    const description = await provider.describe(AbortSignal.timeout(1_000));
    expect(description).toEqual({
      host: new URL(server.baseUrl).host,
      keyPresent: true,
      reachable: true,
      models: ['acme/m0', 'acme/m1', 'acme/m2', 'acme/m3', 'acme/m4'],
      problem: null,
    });
    expect(server.requests[0]).toMatchObject({ method: 'GET', path: '/v1/models' });
  });

  test.each([
    [playError(401, { error: { message: `bad key ${key}` } }), true, 'bad key [redacted]'],
    [playError(200, '<html>'), true, 'is its base URL right?'],
    [() => {}, false, 'did not answer in time'],
  ])('reports the problem', async (answer, reachable, problem) => {
    server.play(answer);
    const description = await provider.describe(AbortSignal.timeout(200));
    expect(description).toMatchObject({ reachable, models: [], problem: expect.stringContaining(problem) });
  });

  test('sends no request if a key is missing', async () => {
    const keyless = httpProvider({ ...providerServerAt(server.baseUrl), key: null, keyRequired: 'OPENAI_API_KEY' });
    expect(await keyless.describe(AbortSignal.timeout(200))).toMatchObject({ keyPresent: false, reachable: null });
    expect(server.requests).toEqual([]);
  });
});
