import { afterAll, beforeAll, expect, test } from 'vitest';
import { callOnce, providerServerAt } from '../../test-support/attempt.ts';
import { playError, startModelServer } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { playBytes, testOverHttp } from '../../test-support/over-http.ts';
import { recorded } from '../../test-support/replay.ts';
import { httpProvider } from '../../transport/provider.ts';
import { ollama } from './wire.ts';

testOverHttp(async () => {
  const bytes = await recorded(import.meta.url, 'text.ndjson');
  return {
    wire: ollama,
    bytes,
    middle: Buffer.from(bytes).indexOf('你'),
    answer: { text: 'Grüße, 你好 👩‍💻!', finishReason: 'stop', usage: { inputTokens: 26, outputTokens: 298 } },
    overloaded: { status: 503, body: { error: 'server busy, please try again. maximum pending requests exceeded' } },
  };
});

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.close());

const at = () => ({ ...providerServerAt(new URL(server.baseUrl).origin, ollama), key: null });

test('a request has the correct path and body, without a key', async () => {
  server.play(playBytes(ollama.framing, await recorded(import.meta.url, 'text.ndjson')));
  const provider = httpProvider(at());
  await callOnce(provider);
  expect(server.requests.at(-1)).toMatchObject({
    method: 'POST',
    path: '/api/chat',
    headers: { accept: 'application/x-ndjson' },
    body: { model: 'acme-1', stream: true, messages: [{ role: 'user', content: 'hello' }] },
  });
  expect(server.requests.at(-1)?.headers.authorization).toBeUndefined();
  await provider.close?.();
});

test('a missing model is reported as such', async () => {
  server.play(playError(404, { error: 'model "acme-1" not found, try pulling it first' }));
  const provider = httpProvider(at());
  expect(await callOnce(provider)).toMatchObject({ error: { code: 'model-not-found', retryable: false } });
  await provider.close?.();
});

test('the check of the provider requests its list of models', async () => {
  server.play(playError(200, { models: [{ name: 'qwen3:8b', model: 'qwen3:8b', size: 1 }] }));
  const provider = httpProvider(at());
  expect(await provider.describe(AbortSignal.timeout(5_000))).toMatchObject({
    reachable: true,
    models: ['acme/qwen3:8b'],
    problem: null,
  });
  expect(server.requests.at(-1)).toMatchObject({ method: 'GET', path: '/api/tags' });
  await provider.close?.();
});
