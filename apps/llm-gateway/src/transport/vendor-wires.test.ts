/** Tests OpenAI's Responses API and Gemini's API over HTTP. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { callOnce, providerServerAt, generous, smallRequest } from '../test-support/attempt.ts';
import { playError, startModelServer } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import { playBytes, testOverHttp } from '../test-support/over-http.ts';
import { recorded } from '../test-support/replay.ts';
import { gemini } from '../wires/gemini/wire.ts';
import { openAiResponses } from '../wires/openai-responses/wire.ts';
import type { ModelDelta } from '../provider/port.ts';
import { httpProvider } from './provider.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.requests.length = 0;
});

const owner = { tenant: 'default', runId: 'r1', taskId: 't1' };

describe.each([
  {
    wire: openAiResponses,
    folder: 'openai-responses',
    // The test server's base URL has a path, like OpenAI's base URL.
    base: (url: string) => url,
    path: '/v1/responses',
    pathWhole: '/v1/responses',
    keyHeader: { authorization: 'Bearer key-that-must-stay-secret' },
    models: { path: '/v1/models', body: { data: [{ id: 'gpt-5' }] }, name: 'acme/gpt-5' },
    whole: {
      status: 'completed',
      output: [{ type: 'message', content: [{ type: 'output_text', text: 'hello' }] }],
      usage: { input_tokens: 1, output_tokens: 2 },
    },
    overloaded: {
      status: 503,
      body: { error: { type: 'server_error', message: 'The server is overloaded', code: null } },
    },
  },
  {
    wire: gemini,
    folder: 'gemini',
    base: (url: string) => new URL(url).origin,
    path: '/v1beta/models/acme-1:streamGenerateContent?alt=sse',
    pathWhole: '/v1beta/models/acme-1:generateContent',
    keyHeader: { 'x-goog-api-key': 'key-that-must-stay-secret' },
    models: {
      path: '/v1beta/models?pageSize=1000',
      body: { models: [{ name: 'models/gemini-3-pro', supportedGenerationMethods: ['generateContent'] }] },
      name: 'acme/gemini-3-pro',
    },
    whole: {
      candidates: [{ content: { parts: [{ text: 'hello' }] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 2 },
    },
    overloaded: {
      status: 503,
      body: [{ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }],
    },
  },
])('$folder', ({ wire, folder, base, path, pathWhole, keyHeader, models, whole, overloaded }) => {
  const fixture = (name: string) => recorded(new URL(`../wires/${folder}/`, import.meta.url).href, name);
  const providerHere = () => httpProvider(providerServerAt(base(server.baseUrl), wire), generous);

  testOverHttp(async () => {
    const bytes = await fixture('text.sse');
    // The first piece of the text ends before this byte.
    const middle = Buffer.from(bytes).indexOf('你');
    return { wire, bytes, middle, answer: { text: 'Grüße, 你好 👩‍💻!', finishReason: 'stop' }, overloaded };
  });

  test('a call sends the correct request and reads the answer', async () => {
    server.play(playBytes(wire.framing, await fixture('text.sse')));
    const provider = providerHere();
    expect(await callOnce(provider)).toMatchObject({
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

  test('an unstreamed answer is read', async () => {
    server.play(playError(200, whole));
    const provider = providerHere();
    const request = { ...smallRequest, stream: false };
    const expected = { status: 'complete', text: 'hello', usage: { inputTokens: 1, outputTokens: 2 } };
    expect(await callOnce(provider, undefined, request)).toMatchObject(expected);
    expect(server.requests[0]).toMatchObject({ path: pathWhole, headers: { accept: 'application/json' } });
    await provider.close?.();
  });

  test('a request of the same wire format is passed on, and so are its events', async () => {
    const bytes = await fixture('text.sse');
    server.play(playBytes(wire.framing, bytes));
    const provider = providerHere();
    const original = { wire: wire.name, body: { model: 'acme-1', unknown: { field: 1 } }, headers: { 'x-own': 'y' } };
    const raw: ModelDelta[] = [];
    const signal = new AbortController().signal;
    for await (const deltas of provider.stream({ ...smallRequest, original }, { signal, effectId: 'e1', owner })) {
      raw.push(...deltas.filter(({ type }) => type === 'raw'));
    }
    expect(server.requests[0]).toMatchObject({ headers: { 'x-own': 'y' }, body: { unknown: { field: 1 } } });
    const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
    const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice('data: '.length));
    expect(raw).toMatchObject(data.map((each) => ({ whole: false, data: each })));
    await provider.close?.();
  });

  test('its models are listed', async () => {
    server.play(playError(200, models.body));
    const provider = providerHere();
    const description = await provider.describe(AbortSignal.timeout(5_000));
    expect(description).toMatchObject({ reachable: true, models: [models.name], problem: null });
    expect(server.requests[0]).toMatchObject({ method: 'GET', path: models.path, headers: keyHeader });
    await provider.close?.();
  });
});
