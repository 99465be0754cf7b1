import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Attempt } from '../collect.ts';
import { callOnce, callUntil, providerServerAt, generous, hello } from '../test-support/attempt.ts';
import { sse, startModelServer, textStream } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import type { Provider } from '../provider/port.ts';
import { halfReadRoom } from './partial-answers.ts';
import { httpProvider } from './provider.ts';

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

const callProvider = (from = provider, signal = new AbortController().signal): Promise<Attempt> =>
  callOnce(from, signal);

/** Calls a provider with lowered limits, and waits until the provider closes the connection. */
async function callWith(limits: Partial<typeof generous>): Promise<Attempt> {
  const own = httpProvider(providerServerAt(server.baseUrl), { ...generous, ...limits });
  const attempt = await callProvider(own);
  await server.requests[0]?.abandoned;
  await own.close?.();
  return attempt;
}

const [begin, middle, end, usage] = textStream('hello') as [object, object, object, object];
const call = (text: string) => ({
  choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id: 'c', function: { name: 'write', arguments: text } }] } }],
});
/** Sends some events, then calls `next`. */
const after = (events: object[], next: (response: ServerResponse) => void) => {
  return (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse(events), () => next(response));
  };
};

test.each([
  ['ends', (response: ServerResponse) => void response.end()],
  ['ends within an event', (response: ServerResponse) => void response.end('data: {"choices":[{"del')],
  ['breaks', (response: ServerResponse) => void response.destroy()],
])('a stream that %s before its finish reason is a failure', async (_, happens) => {
  expect(
    await callUntil(provider, 2, (written) => server.play(after([begin, middle], written)), happens),
  ).toMatchObject({
    status: 'failed',
    outputBegan: true,
    error: { code: 'provider-failed', retryable: true },
  });
});

test('a stream that breaks after its finish reason is complete except for the usage', async () => {
  const play = (written: (response: ServerResponse) => void) => server.play(after([begin, middle, end], written));
  const breaks = (response: ServerResponse) => void response.destroy();
  expect(await callUntil(provider, 2, play, breaks)).toMatchObject({ ...hello, usage: {} });
});

test.each([
  ['before its arguments', [call('')], []],
  ['within its arguments', [call('{"path":')], []],
  ['within arguments that come after the finish reason', [call('')], [call('{"path":')]],
])('a stream that breaks after its finish reason, %s of a tool call, is a failure', async (_, before, behind) => {
  const finish = { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] };
  const events = [begin, ...before, finish, ...behind];
  const play = (written: (response: ServerResponse) => void) => server.play(after(events, written));
  const breaks = (response: ServerResponse) => void response.destroy();
  expect(await callUntil(provider, before.length + behind.length + 1, play, breaks)).toMatchObject({
    status: 'failed',
    error: { code: 'provider-failed' },
  });
});

test('a stream that stays open after its finish reason is ended after a short time', async () => {
  server.play(after([begin, middle, end, usage], () => {}));
  expect(await callWith({ afterFinishMsMax: 150 })).toMatchObject({ ...hello, usage: { inputTokens: 11 } });
});

test.each([
  ['stalls', () => {}],
  ['drips', (response: ServerResponse) => void setInterval(() => response.write(' '), 20).unref()],
])('an error whose body %s is reported without its text', async (_, go) => {
  server.play((response) => {
    response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '7' });
    response.write('{"error":');
    go(response);
  });
  const error = { code: 'provider-limited', details: { retryAfterMs: 7_000 } };
  const limits = { firstEventMsMax: 600_000, totalMsMax: 600_000, afterFinishMsMax: 150 };
  expect(await callWith(limits)).toMatchObject({ status: 'failed', error });
});

test('an error event after HTTP 200 is an error', async () => {
  server.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n');
  });
  expect(await callProvider()).toMatchObject({ status: 'failed', outputBegan: false, error: { retryable: true } });
  server.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`${sse([begin, middle])}error: {"code":500,"message":"no slot","type":"server_error"}\n\n`);
  });
  expect(await callProvider()).toMatchObject({
    outputBegan: true,
    error: { message: expect.stringContaining('no slot') },
  });
});

test.each([
  ['that never begins', { firstEventMsMax: 150 }, after([], () => {}), 'did not begin its answer within 150 ms', false],
  ['that falls silent', { idleMsMax: 150 }, after([begin, middle], () => {}), 'fell silent', true],
  [
    'of nothing but comments',
    { firstEventMsMax: 150 },
    after([], (response) => {
      const timer = setInterval(() => response.write(': still here\n\n'), 20);
      response.on('close', () => clearInterval(timer));
    }),
    'did not begin its answer within 150 ms',
    false,
  ],
  [
    'that never ends',
    { totalMsMax: 1_000 },
    after([begin], (response) => {
      const timer = setInterval(() => response.write(sse([middle])), 20);
      response.on('close', () => clearInterval(timer));
    }),
    'did not end its answer within 1000 ms',
    true,
  ],
])('a stream %s is ended', async (_, limits, answer, message, outputBegan) => {
  server.play(answer);
  const error = { message: expect.stringContaining(message), retryable: true };
  expect(await callWith(limits)).toMatchObject({ status: 'failed', outputBegan, error });
});

test('an answer that takes longer than one pause may last is complete if each pause is short enough', async () => {
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
    }, 400);
  });
  const patient = httpProvider(providerServerAt(server.baseUrl), {
    ...generous,
    firstEventMsMax: 1_500,
    idleMsMax: 1_500,
  });
  expect(await callProvider(patient)).toMatchObject(hello);
  await patient.close?.();
});

test('a caller that pauses for longer than the provider may does not end the answer', async () => {
  const { promise: answering, resolve } = Promise.withResolvers<ServerResponse>();
  server.play(after([begin], resolve));
  const patient = httpProvider(providerServerAt(server.baseUrl), { ...generous, idleMsMax: 150 });
  const follows = [
    (response: ServerResponse) => response.write(sse([middle])),
    (response: ServerResponse) => response.end(sse([end, usage])),
  ];
  const slowlyRead: Provider = {
    ...patient,
    async *stream(request, context) {
      for await (const deltas of patient.stream(request, context)) {
        yield deltas;
        await sleep(500);
        follows.shift()?.(await answering);
      }
    },
  };
  expect(await callProvider(slowlyRead)).toMatchObject({ ...hello, usage: { inputTokens: 11 } });
  expect(follows).toEqual([]);
  await patient.close?.();
});

test('the upstream connection is closed at once when the turn is aborted', async () => {
  for (const events of [[], [begin, middle]]) {
    server.requests.length = 0;
    const abort = new AbortController();
    const { promise: playing, resolve } = Promise.withResolvers<void>();
    server.play(after(events, () => resolve()));
    const pending = callProvider(httpProvider(providerServerAt(server.baseUrl)), abort.signal);
    await playing;
    const abortedAt = performance.now();
    abort.abort(new Error('enough'));
    expect(await pending).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('enough') } });
    await server.requests[0]?.abandoned;
    expect(performance.now() - abortedAt).toBeLessThan(1_000);
  }
});

test('the upstream connection is closed when the answer grows too large', async () => {
  server.play(
    after([begin], (response) => {
      const timer = setInterval(() => response.write(sse(textStream('x'.repeat(400_000)).slice(1, 2))), 5);
      response.on('close', () => clearInterval(timer));
    }),
  );
  expect(await callProvider()).toMatchObject({ error: { code: 'limit-exceeded' } });
  await server.requests[0]?.abandoned;
});

test.each(['text/event-stream', 'application/json'])(
  'partly received large answers share a memory limit, and small answers do not count (%s)',
  async (kind) => {
    const room = halfReadRoom(1_000_000);
    const [one, other] = [0, 1].map(() => httpProvider(providerServerAt(server.baseUrl), generous, room)) as [
      Provider,
      Provider,
    ];
    const beginning = kind === 'application/json' ? '' : 'data: ';
    const large = `${beginning}${' '.repeat(800_000)}`;
    const begun = (response: ServerResponse) => response.writeHead(200, { 'content-type': kind }).write(large);
    const abort = new AbortController();
    server.play(begun);
    const held = callProvider(one, abort.signal);
    await vi.waitFor(() => expect(room.inUse).toBeGreaterThan(700_000));
    server.play((response) => {
      begun(response);
      response.end(`${JSON.stringify(begin)}\n\n`);
    });
    expect(await callProvider(other)).toMatchObject({
      status: 'failed',
      error: { code: 'unavailable', retryable: true },
    });
    server.play((response) =>
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse([begin, middle, end, usage])),
    );
    expect(await callProvider(other)).toMatchObject(hello);
    abort.abort();
    await held;
    await vi.waitFor(() => expect(room.inUse).toBe(0));
    await Promise.all([one.close?.(), other.close?.()]);
  },
);
