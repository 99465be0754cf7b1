import { afterAll, beforeAll, expect, test } from 'vitest';
import { callOnce, providerServerAt, smallRequest } from '../../test-support/attempt.ts';
import { playError, startModelServer } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { playBytes, testOverHttp } from '../../test-support/over-http.ts';
import { recorded } from '../../test-support/replay.ts';
import { httpProvider } from '../../transport/provider.ts';
import type { ModelDelta, OriginalRequest } from '../../provider/port.ts';
import { anthropic } from './wire.ts';

testOverHttp(async () => {
  const bytes = await recorded(import.meta.url, 'text.sse');
  return {
    wire: anthropic,
    bytes,
    middle: Buffer.from(bytes).indexOf('你'),
    answer: { text: 'Grüße, 你好 👩‍💻!', finishReason: 'stop', usage: { inputTokens: 25, outputTokens: 15 } },
    overloaded: { status: 529, body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } } },
  };
});

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.close());

test('a request has the correct path, key and version', async () => {
  server.play(playBytes(anthropic.framing, await recorded(import.meta.url, 'text.sse')));
  const providerServer = providerServerAt(new URL(server.baseUrl).origin, anthropic);
  const provider = httpProvider(providerServer);
  await callOnce(provider);
  expect(server.requests.at(-1)).toMatchObject({
    method: 'POST',
    path: '/v1/messages',
    headers: { 'x-api-key': providerServer.key, 'anthropic-version': '2023-06-01', accept: 'text/event-stream' },
    body: { model: 'acme-1', stream: true },
  });
  expect(server.requests.at(-1)?.headers.authorization).toBeUndefined();
  await provider.close?.();
});

test('the request of a client of this wire format is passed on unchanged, and so is the answer', async () => {
  const text = Buffer.from(await recorded(import.meta.url, 'unknown.sse'));
  server.play(playBytes(anthropic.framing, text));
  const original: OriginalRequest = {
    wire: 'anthropic',
    body: { model: 'alias', max_tokens: 5, messages: [], context_management: { edits: [] }, stream: true },
    headers: { 'anthropic-beta': 'context-management-2025-06-27', 'anthropic-version': '2023-01-01', 'x-other': '1' },
  };
  const provider = httpProvider(providerServerAt(new URL(server.baseUrl).origin, anthropic));
  const context = {
    signal: new AbortController().signal,
    effectId: 'e1',
    owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
  };
  const deltas: ModelDelta[] = [];
  for await (const together of provider.stream({ ...smallRequest, model: 'claude-x', original }, context))
    deltas.push(...together);
  await provider.close?.();
  expect(server.requests.at(-1)).toMatchObject({
    headers: { 'anthropic-beta': 'context-management-2025-06-27', 'anthropic-version': '2023-01-01' },
    body: { model: 'claude-x', max_tokens: 5, messages: [], context_management: { edits: [] }, stream: true },
  });
  expect(server.requests.at(-1)?.headers['x-other']).toBeUndefined();
  const raw = deltas.filter((delta) => delta.type === 'raw');
  expect(raw.map(({ name }) => name)).toEqual(
    [...text.toString().matchAll(/^event: (\w+)$/gm)]
      .map(([, name]) => name)
      .filter((name) => name !== 'empty' && name !== 'epilogue'),
  );
  expect(raw.find(({ name }) => name === 'weather_report')?.data).toBe('{"type": "weather_report", "sky": "blue"}');
});

test('the check of the provider requests its list of models', async () => {
  server.play(playError(200, { data: [{ type: 'model', id: 'claude-x', display_name: 'X' }], has_more: false }));
  const provider = httpProvider(providerServerAt(new URL(server.baseUrl).origin, anthropic));
  expect(await provider.describe(AbortSignal.timeout(5_000))).toMatchObject({
    reachable: true,
    models: ['acme/claude-x'],
    problem: null,
  });
  expect(server.requests.at(-1)).toMatchObject({ method: 'GET', path: '/v1/models?limit=1000' });
  await provider.close?.();
});
