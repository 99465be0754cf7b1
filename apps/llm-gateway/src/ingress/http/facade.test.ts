import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { eventually, temporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countInMemory } from '../../provider/scripted/count.ts';
import { httpProvider } from '../../transport/provider.ts';
import { scriptedProvider } from '../../provider/scripted/provider.ts';
import { providerServerAt } from '../../test-support/attempt.ts';
import { saying } from '../../test-support/says.ts';
import { playError, playStream, sse, textStream } from '../../test-support/model-server.ts';
import { facadeLimits } from './limits.ts';
import { grant, startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { chunk, playCut, wholeCompletion } from './test-support/upstream.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startTestFacade();
});
afterAll(() => facade[Symbol.asyncDispose]());

const model = 'acme/acme-1';
const messages = [{ role: 'user', content: 'hi' }];
const authorized = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
const post = (path: string, body: object, headers: Record<string, string> = authorized, from = facade) =>
  fetch(`${from.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
const chat = (body: object = {}, from = facade) =>
  post('/v1/chat/completions', { model, messages, ...body }, authorized, from);

/** Sends a request with node:http, since fetch can't send every request. */
async function bare(options: RequestOptions, target = facade): Promise<IncomingMessage> {
  const request = httpRequest(target.url, options);
  request.on('error', () => {});
  request.flushHeaders();
  if (options.method !== 'POST') request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

describe("a provider of the client's wire format", () => {
  const events = [
    chunk({ role: 'assistant', content: 'hé"llo' }, null, { unknown_to_the_gateway: [1] }),
    ': a comment is no event',
    chunk({}, 'stop'),
    chunk({}, null, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }),
    '[DONE]',
  ].filter((event) => !(typeof event === 'string' && event.startsWith(':')));

  test('gets fields that the gateway does not know, and its events are passed on unchanged', async () => {
    facade.upstream.play(playStream(events));
    const response = await chat({ stream: true, stream_options: { include_usage: true }, logit_bias: { 1: 2 } });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(await response.text()).toBe(sse(events));
    const sent = facade.upstream.requests.at(-1);
    expect(sent?.body).toMatchObject({ model: 'acme-1', logit_bias: { 1: 2 } });
    expect(sent?.headers.authorization).toBe('Bearer key-that-must-stay-secret');
  });

  test('sends the usage to clients that request it', async () => {
    facade.upstream.play(playStream(events));
    const text = await (await chat({ stream: true })).text();
    expect(text).toBe(sse(events.filter((event) => !JSON.stringify(event).includes('total_tokens'))));
  });

  test('has its unstreamed answer passed on unchanged', async () => {
    const whole = wholeCompletion({ content: 'hello', unknown_too: true });
    facade.upstream.play((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(whole));
    });
    expect(await (await chat()).json()).toEqual(whole);
  });

  test('that sends an unstreamed answer to a request for a stream has it translated to a stream', async () => {
    facade.upstream.play((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(wholeCompletion({ content: 'hello' })));
    });
    const text = await (await chat({ stream: true })).text();
    expect(text).toContain('"content":"hello"');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  });
});

describe('a stream that is cut', () => {
  const streams: [string, string, object][] = [
    ['chat completions', '/v1/chat/completions', { model, messages, stream: true }],
    ['responses', '/v1/responses', { model, input: 'hi', stream: true }],
    ['messages', '/v1/messages', { model, messages, max_tokens: 10, stream: true }],
    ['gemini', `/v1beta/models/${model}:streamGenerateContent?alt=sse`, { contents: [{ parts: [{ text: 'hi' }] }] }],
    [
      'gemini as an array',
      `/v1beta/models/${model}:streamGenerateContent`,
      { contents: [{ parts: [{ text: 'hi' }] }] },
    ],
  ];

  test.each(streams)('ends with an error instead of the end of a complete answer: %s', async (_, path, body) => {
    facade.upstream.play(playCut('hel'));
    const response = await post(path, body);
    expect(response.status).toBe(200);
    const pieces: string[] = [];
    const decoder = new TextDecoder();
    const read = async () => {
      for await (const piece of response.body ?? []) pieces.push(decoder.decode(piece as Uint8Array, { stream: true }));
    };
    const [ended] = await Promise.allSettled([read()]);
    // A JSON array can't express an error, so the façade closes the connection.
    expect(ended.status).toBe(path.endsWith(':streamGenerateContent') ? 'rejected' : 'fulfilled');
    const text = pieces.join('');
    expect(text).toContain('hel');
    expect(text).toContain('"error"');
    expect(text).not.toMatch(/\[DONE\]|message_stop|response\.completed|finishReason|\]\s*$/);
  });

  test('before any output becomes an HTTP error', async () => {
    facade.upstream.play(playStream([chunk({ role: 'assistant', content: '' }), { error: { message: 'broken' } }]));
    const response = await chat({ stream: true });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { type: 'server_error' } });
  });
});

describe('access', () => {
  test('needs a token, in any place where a vendor expects its key', async () => {
    facade.upstream.play(playStream(textStream('hello')));
    const before = facade.upstream.requests.length;
    const body = { model, messages };
    const refused = await post('/v1/chat/completions', body, {});
    expect(refused.status).toBe(401);
    expect(facade.upstream.requests).toHaveLength(before);
    for (const headers of [{ 'x-api-key': token }, { 'x-goog-api-key': token }])
      expect((await post('/v1/chat/completions', body, headers)).status).toBe(200);
    expect((await post(`/v1/chat/completions?key=${token}`, body, {})).status).toBe(200);
  });

  test('a token for some models does not allow others', async () => {
    await using narrow = await startTestFacade({ grant: { ...grant, models: ['acme/acme-1'] } });
    narrow.upstream.play(playStream(textStream('hello')));
    expect((await chat({}, narrow)).status).toBe(200);
    const refused = await chat({ model: 'acme/acme-2' }, narrow);
    expect(refused.status).toBe(403);
    const listed = (await (await fetch(`${narrow.url}/v1/models`, { headers: authorized })).json()) as {
      data: { id: string }[];
    };
    expect(listed.data.map(({ id }) => id)).toEqual(['acme/acme-1']);
  });

  test.each([
    ['a script without being named', undefined, 'scripted/plan.yaml', 403, true],
    ['a file of the machine', undefined, 'scripted//etc/hostname', 403, false],
    [
      'a file of the machine by a token that names it',
      ['scripted//etc/hostname'],
      'scripted//etc/hostname',
      403,
      false,
    ],
    ['a script by a token that names it', ['scripted/plan.yaml'], 'scripted/plan.yaml', 404, false],
  ])('%s', async (_, models, requestedModel, status, advised) => {
    const clock = { now: () => new Date() };
    const scripted = scriptedProvider({ scripts: { folders: [], anywhere: true }, count: countInMemory(), clock });
    const named: TokenGrant = { ...grant, ...(models === undefined ? {} : { models }) };
    await using scripts = await startTestFacade({ grant: named, providers: [scripted] });
    const inPath = encodeURIComponent(requestedModel);
    const said = [{ parts: [{ text: 'hi' }] }];
    expect((await chat({ model: requestedModel }, scripts)).status).toBe(status);
    const gemini = await post(`/v1beta/models/${inPath}:generateContent`, { contents: said }, authorized, scripts);
    expect(gemini.status).toBe(status);
    const { error } = (await gemini.json()) as { error: { message: string } };
    expect(error.message.includes('coppice token --model scripted/plan.yaml')).toBe(advised);
  });

  test("a name without a provider is a model of the endpoint's vendor", async () => {
    const body = (await (await chat({ model: 'gpt-x' })).json()) as { error: { message: string } };
    expect(body.error.message).toContain('openai/gpt-x');
  });
});

describe("a request that can't be answered", () => {
  test('is rejected by its path and method, in the format of the endpoint', async () => {
    expect((await post('/v1/nothing', {})).status).toBe(404);
    const anthropic = await fetch(`${facade.url}/v1/messages`, { headers: authorized });
    expect(anthropic.status).toBe(405);
    expect(await anthropic.json()).toMatchObject({ type: 'error' });
  });

  test.each([
    ['/v1/chat/completions', { messages }],
    ['/v1/responses', { input: 'hi' }],
    ['/v1/messages', { messages, max_tokens: 10 }],
    ['/v1beta/models/MODEL:generateContent', { contents: [{ parts: [{ text: 'hi' }] }] }],
  ])("is rejected at %s if the model's name is too long", async (path, body) => {
    const before = facade.upstream.requests.length;
    const postFor = (named: string) => post(path.replace('MODEL', named), { model: named, ...body });
    const refused = await postFor(`acme/${'a'.repeat(251)}`);
    expect(refused.status).toBe(400);
    expect(await refused.text()).toMatch(/model: [^"]*at most 255 characters/);
    expect(facade.upstream.requests).toHaveLength(before);
    facade.upstream.play(playError(404, {}));
    await postFor(`acme/${'a'.repeat(250)}`);
    expect(facade.upstream.requests).toHaveLength(before + 1);
  });

  test("is rejected before a request is sent if it has a field that the provider's wire format can't express", async () => {
    const before = facade.upstream.requests.length;
    const content = [{ type: 'document', source: { type: 'url', url: 'https://example.invalid/a.pdf' } }];
    const response = await post('/v1/messages', { model, max_tokens: 10, messages: [{ role: 'user', content }] });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toContain('messages.0.content.0');
    expect(facade.upstream.requests).toHaveLength(before);
  });

  test("has the provider's code and parameter in its error, for a client of the same wire format", async () => {
    const complaint = {
      message: 'no, key-that-must-stay-secret',
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'unsupported_value',
    };
    facade.upstream.play(playError(400, { error: complaint }));
    const response = await chat({ temperature: 2 });
    const text = await response.text();
    expect([response.status, JSON.parse(text)]).toMatchObject([
      400,
      { error: { type: 'invalid_request_error', param: 'temperature', code: 'unsupported_value' } },
    ]);
    expect(text).not.toContain('key-that-must-stay-secret');
    const other = await (await post('/v1/responses', { model, input: 'hi' })).json();
    expect(other).toMatchObject({ error: { param: null, code: null } });
    facade.upstream.play(playError(401, { error: { ...complaint, param: 'key', code: 'invalid_api_key' } }));
    expect(await (await chat()).json()).toMatchObject({ error: { param: null, code: 'server_error' } });
  });

  test('is rejected if its body is not JSON, or is too large', async () => {
    const broken = await fetch(`${facade.url}/v1/messages`, { method: 'POST', headers: authorized, body: '{"model"' });
    expect(broken.status).toBe(400);
    const headers = { ...authorized, 'content-length': String(facadeLimits.bodyBytesMax + 1) };
    expect((await bare({ method: 'POST', path: '/v1/messages', headers })).statusCode).toBe(413);
  });

  test("reports the provider's limit with its wait, and no part of the key", async () => {
    facade.upstream.play(
      playError(429, { error: { message: 'slow, key-that-must-stay-secret' } }, { 'retry-after-ms': '1500' }),
    );
    const response = await chat();
    expect([response.status, response.headers.get('retry-after-ms')]).toEqual([429, '1500']);
    expect(await response.text()).not.toContain('key-that-must-stay-secret');
  });
});

test('the root path answers without a token, and a WebSocket is rejected', async () => {
  expect((await bare({ method: 'HEAD', path: '/' })).statusCode).toBe(200);
  const headers = {
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'eHh4eHh4eHh4eHh4eHh4eA==',
    'sec-websocket-version': '13',
  };
  expect((await bare({ path: '/v1/responses', headers })).statusCode).toBe(426);
});

test.each([
  ['sends no request', '', '408'],
  ['sends half a request', 'GET / HT', '408'],
  ['sends no HTTP', 'nonsense\r\n\r\n', '400'],
])('a connection that %s and stays open is closed', async (_, sent, status) => {
  await using strict = await startTestFacade({ headersMs: 300 });
  const socket = connect({ port: Number(new URL(strict.url).port), host: '127.0.0.1', allowHalfOpen: true });
  socket.write(sent);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toContain(`HTTP/1.1 ${status} `);
  const broken = once(socket, 'error');
  const knocking = setInterval(() => socket.write('x'), 20);
  const [error] = (await broken) as [NodeJS.ErrnoException];
  clearInterval(knocking);
  expect(error.code).toMatch(/ECONNRESET|EPIPE/);
});

test('a body with very many small values is rejected before it is parsed', async () => {
  for (const values of ['{},'.repeat(facadeLimits.bodyValuesMax), '['.repeat(facadeLimits.bodyDepthMax + 1)]) {
    const body = `{"model":"${model}","max_tokens":1,"messages":[{"role":"user","content":[${values}{}]}]}`;
    const response = await fetch(`${facade.url}/v1/messages`, { method: 'POST', headers: authorized, body });
    expect(response.status).toBe(413);
  }
});

test('the error for a socket in a missing folder names the folder', async () => {
  await using folder = await temporaryFolder();
  const addresses = [{ socket: join(folder.path, 'missing', 'gateway.sock') }];
  await expect(startTestFacade({ addresses })).rejects.toThrow('expected a path in a folder that is there');
});

test('it also listens on a socket, and replaces a socket that was left behind', async () => {
  await using folder = await temporaryFolder();
  const socket = join(folder.path, 'gateway.sock');
  const addresses = [{ socket }];
  const first = await startTestFacade({ addresses });
  await expect(startTestFacade({ addresses })).rejects.toThrow('COPPICE_GATEWAY_SOCKET');
  await first[Symbol.asyncDispose]();
  await using again = await startTestFacade({ addresses });
  again.upstream.play(playStream(textStream('hello')));
  const request = httpRequest({
    socketPath: socket,
    method: 'POST',
    path: '/v1/chat/completions',
    headers: authorized,
  });
  request.end(JSON.stringify({ model, messages, stream: true }));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(Buffer.concat((await response.toArray()) as Buffer[]).toString()).toContain('hello');
});

test('a client that does not read pauses the provider, and gets everything when it reads', async () => {
  const piece = 'x'.repeat(64 * 1024);
  const piecesTotal = 600;
  let written = 0;
  facade.upstream.play(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (; written < piecesTotal; written++)
      if (!response.write(sse([chunk({ content: piece })]))) await once(response, 'drain');
    response.end(sse([chunk({}, 'stop'), '[DONE]']));
  });
  const request = httpRequest(`${facade.url}/v1/chat/completions`, { method: 'POST', headers: authorized });
  request.end(JSON.stringify({ model, messages, stream: true }));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let before = -1;
  await eventually(
    async () => {
      const same = written === before && written > 0;
      before = written;
      await sleep(100);
      return same ? true : undefined;
    },
    { timeoutMs: 20_000, description: 'the provider is no longer read' },
  );
  // The upstream server wrote only the part of its 37 MiB that fits in the sockets' buffers.
  expect(written).toBeLessThan(piecesTotal / 2);
  let bytes = 0;
  for await (const part of response) bytes += (part as Buffer).length;
  expect(bytes).toBeGreaterThan(piecesTotal * piece.length);
});

test('a defect is reported as a defect, without its text', async () => {
  const provider = {
    name: 'odd',
    wire: null,
    check: async () => {},
    describe: async () => ({ host: null, keyPresent: false, reachable: null, models: [], problem: null }),
    stream: () => {
      throw new CoppiceError('internal', 'odd');
    },
  };
  await using odd = await startTestFacade({ providers: [provider] });
  expect((await chat({ model: 'odd/one' }, odd)).status).toBe(500);
});

test('the error for a misspelt alias states that it was treated as a model of the vendor, and so does the error for a provider that the alias lacks', async () => {
  const openai = httpProvider({
    ...providerServerAt('http://127.0.0.1:9'),
    name: 'openai',
    key: null,
    keyRequired: 'A_KEY',
  });
  await using own = await startTestFacade({
    providers: [openai],
    aliases: [{ name: 'fast', candidates: ['acme/acme-1'], strategy: 'order' }],
  });
  const answerTo = async (named: string) => {
    const response = await chat({ model: named }, own);
    const { error } = (await response.json()) as { error: { message: string } };
    return [response.status, error.message];
  };
  expect(await answerTo('fats')).toEqual([
    502,
    'there is no key for openai: set A_KEY and restart the stack (coppice down, coppice up) ("fats" is not an alias here, and was treated as openai/fats)',
  ]);
  const error = new CoppiceError('permission-denied', 'it has no price', { details: { priceUnknown: true } });
  await using priceless = await startTestFacade({ providers: [saying('openai', [error])] });
  const answered = await chat({ model: 'fats' }, priceless);
  expect(await answered.json()).toMatchObject({
    error: { message: 'it has no price ("fats" is not an alias here, and was treated as openai/fats)' },
  });
  expect(await answerTo('fast@nobody')).toEqual([
    404,
    'model "fast@nobody": expected fast@ with one of the alias\'s providers acme',
  ]);
});
