/** Tests cached answers at the HTTP endpoints. */
import { readFileSync } from 'node:fs';
import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AnswerCache } from '../../cache/answer-cache.ts';
import { cacheLimits } from '../../cache/limits.ts';
import { anthropic } from '../../wires/anthropic/wire.ts';
import { httpProvider } from '../../transport/provider.ts';
import { generous } from '../../test-support/attempt.ts';
import { startModelServer } from '../../test-support/model-server.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playEither, toolStream, wholeToolCompletion } from './test-support/upstream.ts';

let nats: NatsServer;
let bus: Bus;
let cache: AnswerCache;
let facade: TestFacade;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'cached-answers' });
  await bus.ensureResources();
  cache = new AnswerCache(bus.keyValue(buckets.llmCache), {
    ttlMs: 600_000,
    entryBytesMax: cacheLimits.entryBytesMax,
  });
});
afterEach(async () => {
  await facade[Symbol.asyncDispose]();
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

let questions = 0;
/** Returns messages that aren't in the cache yet. */
const newQuestion = () => [{ role: 'user', content: `question ${++questions}` }];

async function start(): Promise<void> {
  facade = await startTestFacade({ cache });
  facade.upstream.play(playEither(toolStream, wholeToolCompletion));
}

/** Removes ids and times, which differ between translations of the same answer. */
const withoutIds = (text: string): string =>
  text.replaceAll(/(msg_|chatcmpl-)[0-9a-f]{32}/g, 'ID').replaceAll(/"created":\d+/g, '"created":0');

type CallOptions = { path?: string; body: object; headers?: Record<string, string> };

async function call({ path = '/v1/chat/completions', body, headers = {} }: CallOptions) {
  const response = await fetch(`${facade.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify({ model: 'acme/acme-1', ...body }),
  });
  const text = await response.text();
  await cache.stop();
  return { status: response.status, mark: response.headers.get('x-coppice-cache'), text };
}

test.each([
  ['a stream', { stream: true, stream_options: { include_usage: true } }],
  ['a whole answer', { stream: false, unknown_to_the_gateway: 1 }],
])("%s of a provider of the client's wire format is repeated byte by byte", async (_, rest) => {
  await start();
  const body = { messages: newQuestion(), ...rest };
  const first = await call({ body });
  expect(first).toMatchObject({ status: 200, mark: null });
  expect(await call({ body })).toEqual({ ...first, mark: 'hit' });
  expect(facade.upstream.requests).toHaveLength(1);
});

test('cached thinking has its signature, at the endpoint of its own wire format and at another', async () => {
  const events = readFileSync(new URL('../../wires/anthropic/fixtures/thinking.sse', import.meta.url));
  await using upstream = await startModelServer();
  const baseUrl = new URL(upstream.baseUrl).origin;
  const provider = httpProvider({ name: 'claude', wire: anthropic, baseUrl, key: 'k', keyRequired: null }, generous);
  facade = await startTestFacade({ cache, providers: [provider] });
  upstream.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(events);
  });
  const body = { model: 'claude/one', messages: newQuestion(), max_tokens: 10, stream: true };
  for (const [path, signature] of [
    ['/v1/messages', 'signature_delta'],
    ['/v1/chat/completions', '"reasoning_content"'],
  ] as const) {
    const first = await call({ path, body });
    const again = await call({ path, body });
    expect([first.mark, again.mark]).toEqual([null, 'hit']);
    expect(withoutIds(again.text)).toBe(withoutIds(first.text));
    expect(again.text).toContain(signature);
  }
  expect(upstream.requests).toHaveLength(2);
});

test('in another wire format a cached answer is translated, with the same content', async () => {
  await start();
  const body = { messages: newQuestion(), max_tokens: 10 };
  const first = await call({ path: '/v1/messages', body });
  const again = await call({ path: '/v1/messages', body });
  expect([first.mark, again.mark]).toEqual([null, 'hit']);
  expect(withoutIds(again.text)).toBe(withoutIds(first.text));
  expect(again.text).toContain('"type":"tool_use"');
  // The streamed request gets the cached answer, too, since the cache stores the provider's answer before its
  // translation for the endpoint.
  const streamed = await call({ path: '/v1/messages', body: { ...body, stream: true } });
  expect(streamed).toMatchObject({ status: 200, mark: 'hit' });
  expect(streamed.text).toMatch(/message_stop/);
  expect(facade.upstream.requests).toHaveLength(1);
});

test('the only valid value of the cache header is off', async () => {
  await start();
  const body = { messages: newQuestion() };
  const off = { 'x-coppice-cache': 'off' };
  await call({ body });
  expect((await call({ body, headers: off })).mark).toBeNull();
  expect(facade.upstream.requests).toHaveLength(2);
  const refused = await call({ body, headers: { 'x-coppice-cache': 'no' } });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('x-coppice-cache: expected off, received \\"no\\"');
});

test('a request that references data at the vendor is sent each time', async () => {
  await start();
  const body = { messages: newQuestion(), web_search_options: {} };
  for (let calls = 0; calls < 2; calls++) expect(await call({ body })).toMatchObject({ status: 200, mark: null });
  expect(facade.upstream.requests).toHaveLength(2);
});
