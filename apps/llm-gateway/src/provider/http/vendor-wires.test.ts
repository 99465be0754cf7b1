/** The wires of OpenAI's Responses and of Gemini, over HTTP. */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { askOnce, endpointAt, generous, smallRequest } from '../../test-support/attempt.ts';
import { playError, startModelServer } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { recorded } from '../../test-support/replay.ts';
import { gemini } from '../gemini/wire.ts';
import { openAiResponses } from '../openai-responses/wire.ts';
import type { ModelDelta } from '../port.ts';
import { httpProvider } from './provider.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.requests.length = 0;
});

const playBytes = (bytes: Uint8Array, next: (response: ServerResponse) => void) => (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(bytes, () => next(response));
};
const end = (response: ServerResponse) => response.end();
const owner = { tenant: 'default', runId: 'r1', taskId: 't1' };

describe.each([
  {
    wire: openAiResponses,
    folder: 'openai-responses',
    // The test's server stands below a path, as OpenAI's does.
    base: (url: string) => url,
    path: '/v1/responses',
    pathWhole: '/v1/responses',
    keyHeader: { authorization: 'Bearer key-that-must-not-be-told' },
    models: { path: '/v1/models', body: { data: [{ id: 'gpt-5' }] }, name: 'acme/gpt-5' },
    whole: {
      status: 'completed',
      output: [{ type: 'message', content: [{ type: 'output_text', text: 'hello' }] }],
      usage: { input_tokens: 1, output_tokens: 2 },
    },
  },
  {
    wire: gemini,
    folder: 'gemini',
    base: (url: string) => new URL(url).origin,
    path: '/v1beta/models/acme-1:streamGenerateContent?alt=sse',
    pathWhole: '/v1beta/models/acme-1:generateContent',
    keyHeader: { 'x-goog-api-key': 'key-that-must-not-be-told' },
    models: {
      path: '/v1beta/models?pageSize=1000',
      body: { models: [{ name: 'models/gemini-3-pro', supportedGenerationMethods: ['generateContent'] }] },
      name: 'acme/gemini-3-pro',
    },
    whole: {
      candidates: [{ content: { parts: [{ text: 'hello' }] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 2 },
    },
  },
])('$folder', ({ wire, folder, base, path, pathWhole, keyHeader, models, whole }) => {
  const fixture = (name: string) => recorded(new URL(`../${folder}/`, import.meta.url).href, name);
  const providerWith = (limits: Partial<typeof generous> = {}) =>
    httpProvider(endpointAt(base(server.baseUrl), wire), { ...generous, ...limits });

  test('a turn: what is asked, and what comes', async () => {
    server.play(playBytes(await fixture('text.sse'), end));
    const provider = providerWith();
    expect(await askOnce(provider)).toMatchObject({
      status: 'complete',
      text: 'Grüße, 你好 👩‍💻!',
      finishReason: 'stop',
    });
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      path,
      headers: { ...keyHeader, accept: 'text/event-stream' },
      body: wire.body(smallRequest, true),
    });
    await provider.close?.();
  });

  test('an answer as a whole', async () => {
    server.play(playError(200, whole));
    const provider = providerWith();
    const request = { ...smallRequest, stream: false };
    const expected = { status: 'complete', text: 'hello', usage: { inputTokens: 1, outputTokens: 2 } };
    expect(await askOnce(provider, undefined, request)).toMatchObject(expected);
    expect(server.requests[0]).toMatchObject({ path: pathWhole, headers: { accept: 'application/json' } });
    await provider.close?.();
  });

  test('a request of the same wire is passed on, and its events told as they came', async () => {
    const bytes = await fixture('text.sse');
    server.play(playBytes(bytes, end));
    const provider = providerWith();
    const original = { wire: wire.name, body: { model: 'acme-1', unknown: { field: 1 } }, headers: { 'x-own': 'y' } };
    const raw: ModelDelta[] = [];
    const signal = new AbortController().signal;
    for await (const delta of provider.stream({ ...smallRequest, original }, { signal, effectId: 'e1', owner })) {
      if (delta.type === 'raw') raw.push(delta);
    }
    expect(server.requests[0]).toMatchObject({ headers: { 'x-own': 'y' }, body: { unknown: { field: 1 } } });
    const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
    const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice('data: '.length));
    expect(raw).toMatchObject(data.map((each) => ({ whole: false, data: each })));
    await provider.close?.();
  });

  test.each([
    ['ends', end],
    ['breaks', (response: ServerResponse) => response.destroy()],
  ])('a stream that %s anywhere before its end is a failure', async (_, next) => {
    const bytes = await fixture('thinking-and-tool-calls.sse');
    const provider = providerWith();
    // The end comes with the last event.
    const lastEventAt = new TextDecoder()
      .decode(bytes)
      .trimEnd()
      .search(/(event: response\.completed\n)?data: [^\n]*$/);
    for (const part of [0.1, 0.5, 0.9, 1]) {
      server.play(playBytes(bytes.subarray(0, Math.floor(lastEventAt * part)), next));
      expect(await askOnce(provider)).toMatchObject({
        status: 'failed',
        error: { code: 'provider-failed', retryable: true },
      });
    }
    await provider.close?.();
  });

  test('a stream that stalls is given up, and its connection closed', async () => {
    const bytes = await fixture('text.sse');
    server.play(playBytes(bytes.subarray(0, bytes.length / 2), () => {}));
    const provider = providerWith({ idleMsMax: 150 });
    expect(await askOnce(provider)).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('fell silent'), retryable: true },
    });
    await server.requests[0]?.abandoned;
    await provider.close?.();
  });

  test.each([
    [playError(429, { error: { message: 'slow down' } }, { 'retry-after': '2' }), { code: 'provider-limited' }],
    [playError(500, '<html>'), { code: 'provider-failed', retryable: true }],
    [playError(400, { error: { message: 'no', code: 400 } }), { code: 'invalid-request', retryable: false }],
    [playError(401, { error: { message: 'no key-that-must-not-be-told' } }), { code: 'provider-failed' }],
    [playError(200, '<html>'), { code: 'provider-failed', retryable: false }],
  ])('what is refused is told as what it is', async (answer, error) => {
    server.play(answer);
    const provider = providerWith();
    const attempt = await askOnce(provider);
    expect(attempt).toMatchObject({ status: 'failed', outputBegan: false, error });
    expect(JSON.stringify(attempt)).not.toContain('key-that-must');
    await provider.close?.();
  });

  test('its models are listed', async () => {
    server.play(playError(200, models.body));
    const provider = providerWith();
    const told = await provider.describe(AbortSignal.timeout(5_000));
    expect(told).toMatchObject({ reachable: true, models: [models.name], problem: null });
    expect(server.requests[0]).toMatchObject({ method: 'GET', path: models.path, headers: keyHeader });
    await provider.close?.();
  });
});
