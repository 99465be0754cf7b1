import { setTimeout as sleep } from 'node:timers/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect } from '../../collect.ts';
import type { Attempt } from '../../collect.ts';
import { playError, playStream, sse, startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import type { ModelRequest, Provider } from '../port.ts';
import { openAiProvider } from './provider.ts';

const key = 'key-that-must-not-be-told';
const endpointAt = (baseUrl: string) => ({ name: 'acme', baseUrl, key, keyRequired: null });
const request: ModelRequest = {
  model: 'acme-1',
  messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
  tools: [{ name: 'list', description: 'Lists.', parameters: { type: 'object' } }],
};
const context = (signal: AbortSignal) => ({
  signal,
  effectId: 'task_t1_1_1',
  owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
});
const quick = { firstEventMsMax: 150, idleMsMax: 150, totalMsMax: 5_000, afterFinishMsMax: 150 };

let server: ModelServer;
let provider: Provider;
beforeAll(async () => {
  server = await startModelServer();
  provider = openAiProvider(endpointAt(server.baseUrl), quick);
});
afterAll(async () => {
  await provider.close?.();
  await server.close();
});
beforeEach(() => {
  server.requests.length = 0;
});

function ask(from = provider, signal = new AbortController().signal): Promise<Attempt> {
  const settings = { provider: 'acme', effectId: 'task_t1_1_1', signal, textBytesMax: 1_000_000 };
  return collect(from.stream(request, context(signal)), settings);
}
const hello = { status: 'complete', text: 'hello', finishReason: 'stop', responseModel: 'acme-1-2026' };

test('a turn over the wire: what is asked, and what comes', async () => {
  server.play(playStream(textStream('hello')));
  expect(await ask()).toMatchObject({ ...hello, usage: { inputTokens: 11, outputTokens: 3 } });
  expect(server.requests[0]).toMatchObject({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: { model: 'acme-1', stream: true, stream_options: { include_usage: true } },
  });
});

test('a connection is used again', async () => {
  server.play(playStream(textStream('hello')));
  const own = openAiProvider(endpointAt(server.baseUrl));
  for (let asked = 0; asked < 3; asked++) {
    await ask(own);
    // The client takes a moment to see that the connection is free.
    await sleep(20);
  }
  expect(new Set(server.requests.map(({ port }) => port)).size).toBe(1);
  await own.close?.();
});

test('without a key none is sent', async () => {
  server.play(playStream(textStream('hello')));
  const open = openAiProvider({ ...endpointAt(server.baseUrl), key: null });
  expect(await ask(open)).toMatchObject(hello);
  expect(server.requests[0]?.headers.authorization).toBeUndefined();
  await open.close?.();
});

test('where a key is needed and none is there, nothing is sent', async () => {
  const keyless = openAiProvider({ ...endpointAt(server.baseUrl), key: null, keyRequired: 'OPENAI_API_KEY' });
  expect(await ask(keyless)).toMatchObject({
    error: { message: 'acme needs a key: set OPENAI_API_KEY', retryable: false },
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
      expect(await ask()).toMatchObject({ ...hello, text: 'Grüße 你好 👩‍💻' });
    }),
    { numRuns: 25 },
  );
});

describe('what is no stream of events', () => {
  test.each([
    [
      'a page',
      playError(200, '<html>Welcome</html>'),
      { message: expect.stringContaining('text/html'), retryable: false },
    ],
    [
      'an empty answer',
      playError(200, '', { 'content-type': 'text/event-stream' }),
      { message: expect.stringContaining('no events') },
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
    expect(await ask()).toMatchObject({ status: 'failed', outputBegan: false, error });
    expect(server.requests).toHaveLength(1);
  });

  test('an answer that came as a whole is one', async () => {
    const message = { role: 'assistant', content: 'hello' };
    const usage = { prompt_tokens: 1, completion_tokens: 2 };
    server.play(
      playError(200, { model: 'acme-1-2026', choices: [{ index: 0, message, finish_reason: 'stop' }], usage }),
    );
    expect(await ask()).toMatchObject({ ...hello, usage: { inputTokens: 1, outputTokens: 2 } });
  });

  test.each(['text/plain', 'application/octet-stream', null])('events are read even as %s', async (contentType) => {
    server.play(playStream(textStream('hello'), contentType));
    expect(await ask()).toMatchObject(hello);
  });
});

describe('what is refused', () => {
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
  ])('is told as what it is', async (answer, error) => {
    server.play(answer);
    expect(await ask()).toMatchObject({ status: 'failed', outputBegan: false, error });
  });

  test('the key is in no error, even if the server repeats it', async () => {
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
      const attempt = await ask();
      expect(attempt.status).toBe('failed');
      if (attempt.status !== 'failed') continue;
      const { error } = attempt;
      expect(JSON.stringify([error.toWire(), error.stack, String(error.cause)])).not.toContain(key);
      expect(error.message).toContain('[redacted]');
    }
  });
});

describe('a stream that goes wrong', () => {
  const [begin, middle, end, usage] = textStream('hello') as [object, object, object, object];
  /** Some events, and then what `next` does. */
  const after = (events: object[], next: (response: Parameters<ReturnType<typeof playStream>>[0]) => void) => {
    return (response: Parameters<ReturnType<typeof playStream>>[0]) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(sse(events), () => next(response));
    };
  };

  test.each([
    ['ends', (response: { end(): void }) => response.end()],
    ['ends within an event', (response: { end(text: string): void }) => response.end('data: {"choices":[{"del')],
    ['breaks', (response: { destroy(): void }) => response.destroy()],
  ])('that %s before its finish reason is a failure', async (_, next) => {
    server.play(after([begin, middle], next as Parameters<typeof after>[1]));
    expect(await ask()).toMatchObject({
      status: 'failed',
      outputBegan: true,
      error: { code: 'provider-failed', retryable: true },
    });
  });

  test('that breaks after its finish reason lacks but the usage', async () => {
    server.play(after([begin, middle, end], (response) => setTimeout(() => response.destroy(), 20)));
    expect(await ask()).toMatchObject({ ...hello, usage: {} });
  });

  test('that is left open after its finish reason is not waited for', async () => {
    server.play(after([begin, middle, end, usage], () => {}));
    expect(await ask()).toMatchObject({ ...hello, usage: { inputTokens: 11 } });
    await server.requests[0]?.abandoned;
  });

  test('an event of an error after HTTP 200 is one', async () => {
    server.play((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
      );
    });
    expect(await ask()).toMatchObject({ status: 'failed', outputBegan: false, error: { retryable: true } });
    server.play((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`${sse([begin, middle])}error: {"code":500,"message":"no slot","type":"server_error"}\n\n`);
    });
    expect(await ask()).toMatchObject({ outputBegan: true, error: { message: expect.stringContaining('no slot') } });
  });

  test.each([
    ['that never begins', after([], () => {}), 'did not begin its answer within 150 ms', false],
    ['that falls silent', after([begin, middle], () => {}), 'fell silent', true],
    [
      'of nothing but comments',
      after([], (response) => {
        const timer = setInterval(() => response.write(': still here\n\n'), 20);
        response.on('close', () => clearInterval(timer));
      }),
      'did not begin its answer within 150 ms',
      false,
    ],
  ])('%s is ended', async (_, answer, message, outputBegan) => {
    server.play(answer);
    expect(await ask()).toMatchObject({
      outputBegan,
      error: { message: expect.stringContaining(message), retryable: true },
    });
    await server.requests[0]?.abandoned;
  });

  test('that never ends is ended', async () => {
    const short = openAiProvider(endpointAt(server.baseUrl), { ...quick, totalMsMax: 300 });
    server.play(
      after([begin], (response) => {
        const timer = setInterval(() => response.write(sse([middle])), 20);
        response.on('close', () => clearInterval(timer));
      }),
    );
    expect(await ask(short)).toMatchObject({ error: { message: expect.stringContaining('did not end its answer') } });
    await short.close?.();
  });

  test('an answer that takes its time is waited for', async () => {
    server.play((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const events = textStream('hello');
      const timer = setInterval(() => {
        const next = events.shift();
        if (next !== undefined) response.write(sse([next]));
        else {
          clearInterval(timer);
          response.end();
        }
      }, 100);
    });
    expect(await ask()).toMatchObject(hello);
  });

  test('the upstream connection is closed at once when the turn is aborted', async () => {
    for (const events of [[], [begin, middle]]) {
      server.requests.length = 0;
      const abort = new AbortController();
      const { promise: playing, resolve } = Promise.withResolvers<void>();
      server.play(after(events, () => resolve()));
      const asked = ask(openAiProvider(endpointAt(server.baseUrl)), abort.signal);
      await playing;
      const abortedAt = performance.now();
      abort.abort(new Error('enough'));
      expect(await asked).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('enough') } });
      await server.requests[0]?.abandoned;
      expect(performance.now() - abortedAt).toBeLessThan(1_000);
    }
  });

  test('and when its answer grows too large', async () => {
    server.play(
      after([begin], (response) => {
        const timer = setInterval(() => response.write(sse(textStream('x'.repeat(400_000)).slice(1, 2))), 5);
        response.on('close', () => clearInterval(timer));
      }),
    );
    expect(await ask()).toMatchObject({ error: { code: 'limit-exceeded' } });
    await server.requests[0]?.abandoned;
  });
});

test('a server that is not there, or hangs up, is told by its address', async () => {
  const nobody = createServer().listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  nobody.close();
  await once(nobody, 'close');
  const missing = openAiProvider(endpointAt(`http://127.0.0.1:${port}/v1`));
  expect(await ask(missing)).toMatchObject({
    outputBegan: false,
    error: { message: `acme: the connection to 127.0.0.1:${port} failed (ECONNREFUSED)`, retryable: true },
  });
  expect(await missing.describe(AbortSignal.timeout(1_000))).toMatchObject({
    reachable: false,
    problem: expect.stringContaining('ECONNREFUSED'),
  });
  server.play((response) => response.destroy());
  expect(await ask()).toMatchObject({ outputBegan: false, error: { code: 'provider-failed', retryable: true } });
});

describe('who looks whether it can be used', () => {
  const models = {
    object: 'list',
    data: Array.from({ length: 9 }, (_, index) => ({ id: `m${index}`, object: 'model' })),
  };

  test('is told some models and the host, and neither key nor path', async () => {
    server.play(playError(200, models));
    const told = await provider.describe(AbortSignal.timeout(1_000));
    expect(told).toEqual({
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
  ])('is told what is wrong', async (answer, reachable, problem) => {
    server.play(answer);
    const told = await provider.describe(AbortSignal.timeout(200));
    expect(told).toMatchObject({ reachable, models: [], problem: expect.stringContaining(problem) });
  });

  test('causes no request where a key is missing', async () => {
    const keyless = openAiProvider({ ...endpointAt(server.baseUrl), key: null, keyRequired: 'OPENAI_API_KEY' });
    expect(await keyless.describe(AbortSignal.timeout(200))).toMatchObject({ keyPresent: false, reachable: null });
    expect(server.requests).toEqual([]);
  });
});
