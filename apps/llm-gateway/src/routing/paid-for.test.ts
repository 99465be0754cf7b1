/** Tests over real connections how much is charged for a call without an answer. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressInfo, Socket } from 'node:net';
import { CoppiceError } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { httpProvider } from '../transport/provider.ts';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import { completeCall } from '../test-support/call-exchange.ts';
import { playError, startModelServer } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import { prepareExchanges } from './collaborators.ts';

let server: ModelServer;
const opened: { close?(): Promise<void> }[] = [];
beforeAll(async () => {
  server = await startModelServer();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (provider) => provider.close?.()));
  server.requests.length = 0;
});
afterAll(() => server.close());

function request(stream: boolean, settings: object, bytes = 40) {
  const text = 'x'.repeat(bytes);
  return {
    messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text }] }],
    tools: [],
    settings,
    stream,
  };
}

/** Returns the usage of one attempt of this request. */
async function usageOf(sent: ReturnType<typeof request>, call: object = {}, baseUrl = server.baseUrl) {
  const provider = httpProvider({ name: 'acme', wire: openAiChat, baseUrl, key: null, keyRequired: null });
  opened.push(provider);
  const exchanges = prepareExchanges({ providers: [provider], retry: { attemptsMax: 1 } });
  const { error, result } = await completeCall(exchanges, { model: 'acme/one', request: sent, ...call });
  return { code: (error as CoppiceError | null)?.code, usage: result.usage };
}

const ways: [string, boolean, object, object][] = [
  ['a stream, of which nothing came', true, { maxOutputTokens: 90 }, { inputTokens: 10, outputTokens: 0 }],
  ['a whole answer, as long as it may be', false, { maxOutputTokens: 90 }, { inputTokens: 10, outputTokens: 90 }],
  ['a whole answer without a maximum', false, {}, { inputTokens: 10, outputTokens: 8_192 }],
];

describe.each(ways)('a call before the provider sends anything, %s', (_, stream, settings, usage) => {
  test('it is charged when the caller leaves', async () => {
    server.play(() => {});
    const leaving = new AbortController();
    const left = usageOf(request(stream, settings), { signal: leaving.signal });
    await expect.poll(() => server.requests.length).toBe(1);
    leaving.abort(new CoppiceError('cancelled', 'the client left'));
    expect(await left).toEqual({ code: 'cancelled', usage });
  });
});

test('an unstreamed answer that exceeds the time limit is charged like an abandoned one', async () => {
  server.play(() => {});
  const late = await usageOf(request(false, { maxOutputTokens: 90 }), { endsAtMs: Date.now() + 3_000 });
  expect(late).toEqual({ code: 'deadline-exceeded', usage: { inputTokens: 10, outputTokens: 90 } });
});

test('an abandoned unstreamed answer is charged the same whether or not a part of it arrived', async () => {
  const begun = Promise.withResolvers<void>();
  server.play((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"choices":', () => begun.resolve());
  });
  const leaving = new AbortController();
  const left = usageOf(request(false, { maxOutputTokens: 90 }), { signal: leaving.signal });
  await begun.promise;
  leaving.abort(new CoppiceError('cancelled', 'the client left'));
  expect(await left).toMatchObject({ usage: { inputTokens: 10, outputTokens: 90 } });
});

test.each([true, false])('a call whose connection breaks is charged for the request, stream %s', async (stream) => {
  server.play((response) => response.destroy());
  expect(await usageOf(request(stream, { maxOutputTokens: 90 }))).toEqual({
    code: 'provider-failed',
    usage: { inputTokens: 10, outputTokens: 0 },
  });
});

describe.each([true, false])('nothing is charged, stream %s', (stream) => {
  const sent = request(stream, { maxOutputTokens: 90 });

  test.each([
    ['refuses the request', playError(503, { error: { message: 'overloaded' } })],
    ['limits the request', playError(429, { error: { message: 'slow down' } })],
    ['answers with a page', playError(200, '<html>')],
  ])('if the provider %s', async (_name, answer) => {
    server.play(answer);
    expect((await usageOf(sent)).usage).toEqual({});
    expect(server.requests).toHaveLength(1);
  });

  test('if there is no server', async () => {
    const nobody = createServer().listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    await once(nobody, 'close');
    expect(await usageOf(sent, {}, `http://127.0.0.1:${port}/v1`)).toEqual({ code: 'provider-failed', usage: {} });
  });

  test.each(['left', 'broken off'])('if the request is %s before the provider has received all of it', async (how) => {
    // The server reads nothing, so the operating system accepts only a part of the request.
    const slow = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const connected = once(slow, 'connection') as Promise<[Socket]>;
    const leaving = new AbortController();
    const { port } = slow.address() as AddressInfo;
    const large = request(stream, { maxOutputTokens: 90 }, 32 * 1024 * 1024);
    const call = usageOf(large, { signal: leaving.signal }, `http://127.0.0.1:${port}/v1`);
    const [socket] = await connected;
    // If the provider wrote the request in one piece, it would now count as sent.
    await sleep(500);
    if (how === 'left') leaving.abort(new CoppiceError('cancelled', 'the client left'));
    else socket.resetAndDestroy();
    expect((await call).usage).toEqual({});
    socket.destroy();
    slow.close();
  });
});
