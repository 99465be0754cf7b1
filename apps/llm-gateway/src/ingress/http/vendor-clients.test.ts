/** Tests the vendors' own clients against the façade. The provider is a Chat Completions server. */
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import type { ApiError } from '@google/genai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { playError, textStream } from '../../test-support/model-server.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import {
  playBeginning,
  playCut,
  playEither,
  toolStream,
  wholeCompletion,
  wholeToolCompletion,
} from './test-support/upstream.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startTestFacade();
});
afterAll(() => facade[Symbol.asyncDispose]());

const model = 'acme/acme-1';
const schema = { type: 'object' as const, properties: { path: { type: 'string' as const } } };
const sayHello = () => facade.upstream.play(playEither(textStream('hello'), wholeCompletion({ content: 'hello' })));
const callTools = () => facade.upstream.play(playEither(toolStream, wholeToolCompletion));
const limited = () => facade.upstream.play(playError(429, { error: { message: 'slow down' } }, { 'retry-after': '7' }));

async function errorOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('it succeeded');
}

/**
 * Runs `work`, which must abandon its answer. Resolves once the gateway has closed the connection to the upstream
 * server.
 */
async function expectAbandoned(work: () => Promise<unknown>): Promise<void> {
  facade.upstream.play(playBeginning('hel'));
  const before = facade.upstream.requests.length;
  await errorOf(work);
  await facade.upstream.requests[before]?.abandoned;
}

describe('openai', () => {
  const client = (apiKey = token) => new OpenAI({ apiKey, baseURL: `${facade.url}/v1`, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const tools = [{ type: 'function' as const, function: { name: 'read', parameters: schema } }];

  test('chats, streamed and unstreamed', async () => {
    sayHello();
    const whole = await client().chat.completions.create({ model, messages });
    expect(whole.choices[0]?.message.content).toBe('hello');
    expect(whole.usage?.total_tokens).toBe(14);
    expect(whole).toMatchObject({ _request_id: expect.stringMatching(/^req_/) as unknown });
    const stream = client().chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'hello' } });
    expect(final.usage?.total_tokens).toBe(14);
  });

  test('calls tools', async () => {
    callTools();
    const expected = [
      { id: 'c0', function: { name: 'read', arguments: '{"path":"a.txt"}' } },
      { id: 'c1', function: { name: 'list' } },
    ];
    const whole = await client().chat.completions.create({ model, messages, tools });
    expect(whole.choices[0]?.message.tool_calls).toMatchObject(expected);
    const stream = client().chat.completions.stream({ model, messages, tools });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls).toMatchObject(expected);
    expect(final.choices[0]?.finish_reason).toBe('tool_calls');
  });

  test('uses Responses, unstreamed, streamed and with tools', async () => {
    sayHello();
    const whole = await client().responses.create({ model, input: 'hi' });
    expect(whole.output_text).toBe('hello');
    expect(whole.usage?.total_tokens).toBe(14);
    const streamed = await client().responses.stream({ model, input: 'hi' }).finalResponse();
    expect(streamed).toMatchObject({ output_text: 'hello', status: 'completed' });
    callTools();
    const functions = [{ type: 'function' as const, name: 'read', parameters: schema, strict: false }];
    const called = await client().responses.stream({ model, input: 'hi', tools: functions }).finalResponse();
    expect(called.output).toMatchObject([
      { type: 'message' },
      { type: 'function_call', call_id: 'c0', name: 'read', arguments: '{"path":"a.txt"}' },
      { type: 'function_call', call_id: 'c1', name: 'list', arguments: '{}' },
    ]);
  });

  test('lists models, and finds one', async () => {
    expect((await client().models.list()).data.map(({ id }) => id)).toEqual(['acme/acme-1', 'acme/acme-2']);
    expect((await client().models.retrieve('acme/acme-2')).id).toBe('acme/acme-2');
  });

  test('gets errors as OpenAI sends them', async () => {
    expect(await errorOf(() => client('wrong').models.list())).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(await errorOf(() => client().chat.completions.create({ model: 'acme/acme-1', messages: [] }))).toMatchObject(
      {
        status: 400,
        param: 'messages',
      },
    );
    expect(await errorOf(() => client().chat.completions.create({ model: 'nobody/x', messages }))).toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    limited();
    const error = await errorOf(() => client().responses.create({ model, input: 'hi' }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect((error as InstanceType<typeof OpenAI.APIError>).headers?.get('retry-after')).toBe('7');
  });

  test('gets an error for a cut answer, and no whole answer', async () => {
    facade.upstream.play(playCut('hel'));
    const read = () => client().chat.completions.stream({ model, messages }).finalChatCompletion();
    expect(await errorOf(read)).toBeInstanceOf(Error);
    expect(await errorOf(() => client().responses.stream({ model, input: 'hi' }).finalResponse())).toBeInstanceOf(
      Error,
    );
  });

  test('leaves, and the upstream call ends', async () => {
    await expectAbandoned(async () => {
      const stream = await client().chat.completions.create({ model, messages, stream: true });
      for await (const _ of stream) stream.controller.abort();
      throw new Error('left');
    });
  });
});

describe('anthropic', () => {
  const client = (apiKey = token) => new Anthropic({ apiKey, baseURL: facade.url, maxRetries: 0 });
  const question = { model, max_tokens: 100, messages: [{ role: 'user' as const, content: 'hi' }] };
  const tools = [{ name: 'read', input_schema: schema }];

  test('chats, streamed and unstreamed', async () => {
    sayHello();
    const expected = {
      content: [{ type: 'text', text: 'hello' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 11, output_tokens: 3 },
    };
    const whole = await client().messages.create(question);
    expect(whole).toMatchObject(expected);
    expect(whole).toMatchObject({ _request_id: expect.stringMatching(/^req_/) as unknown });
    expect(await client().messages.stream(question).finalMessage()).toMatchObject(expected);
  });

  test('calls tools', async () => {
    callTools();
    const expected = {
      content: [
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', id: 'c0', name: 'read', input: { path: 'a.txt' } },
        { type: 'tool_use', id: 'c1', name: 'list', input: {} },
      ],
      stop_reason: 'tool_use',
    };
    expect(await client().messages.create({ ...question, tools })).toMatchObject(expected);
    expect(
      await client()
        .messages.stream({ ...question, tools })
        .finalMessage(),
    ).toMatchObject(expected);
  });

  test('counts tokens and lists models', async () => {
    const { model: name, messages } = question;
    expect((await client().messages.countTokens({ model: name, messages })).input_tokens).toBeGreaterThan(0);
    expect((await client().models.list()).data.map(({ id }) => id)).toEqual(['acme/acme-1', 'acme/acme-2']);
  });

  test('gets errors as Anthropic sends them', async () => {
    expect(await errorOf(() => client('wrong').messages.create(question))).toBeInstanceOf(
      Anthropic.AuthenticationError,
    );
    limited();
    const error = await errorOf(() => client().messages.create(question));
    expect(error).toBeInstanceOf(Anthropic.RateLimitError);
    expect((error as InstanceType<typeof Anthropic.APIError>).headers?.get('retry-after')).toBe('7');
    facade.upstream.play(playError(500, { error: { message: 'broken' } }));
    expect(await errorOf(() => client().messages.stream(question).finalMessage())).toBeInstanceOf(
      Anthropic.InternalServerError,
    );
  });

  test('gets an error for a cut answer, and no whole answer', async () => {
    facade.upstream.play(playCut('hel'));
    expect(await errorOf(() => client().messages.stream(question).finalMessage())).toBeInstanceOf(Anthropic.APIError);
  });

  test('leaves, and the upstream call ends', async () => {
    await expectAbandoned(() => {
      const stream = client().messages.stream(question);
      stream.on('text', () => stream.abort());
      return stream.finalMessage();
    });
  });
});

describe('google', () => {
  const client = (apiKey = token) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: facade.url } });
  const question = { model, contents: 'hi' };
  const config = { tools: [{ functionDeclarations: [{ name: 'read', parametersJsonSchema: schema }] }] };

  test('chats, streamed and unstreamed', async () => {
    sayHello();
    const whole = await client().models.generateContent(question);
    expect(whole.text).toBe('hello');
    expect(whole.usageMetadata).toMatchObject({ promptTokenCount: 11, candidatesTokenCount: 3, totalTokenCount: 14 });
    const stream = await client().models.generateContentStream(question);
    const pieces = await Array.fromAsync(stream);
    expect(pieces.map(({ text }) => text ?? '').join('')).toBe('hello');
    expect(pieces.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
  });

  test('calls tools', async () => {
    callTools();
    const expected = [
      { id: 'c0', name: 'read', args: { path: 'a.txt' } },
      { id: 'c1', name: 'list', args: {} },
    ];
    expect((await client().models.generateContent({ ...question, config })).functionCalls).toEqual(expected);
    const stream = await client().models.generateContentStream({ ...question, config });
    const calls = (await Array.fromAsync(stream)).flatMap(({ functionCalls }) => functionCalls ?? []);
    expect(calls).toEqual(expected);
  });

  test('counts tokens', async () => {
    expect((await client().models.countTokens(question)).totalTokens).toBeGreaterThan(0);
  });

  test.each(['v1', 'v1beta'])('lists models, and finds one, by %s', async (apiVersion) => {
    const of = (apiKey = token) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: facade.url, apiVersion } });
    const listed = await Array.fromAsync(await of().models.list());
    expect(listed.map(({ name }) => name)).toEqual(['models/acme/acme-1', 'models/acme/acme-2']);
    expect(await of().models.get({ model: 'acme/acme-2' })).toMatchObject({ name: 'models/acme/acme-2' });
    const refused = await errorOf(() => of('wrong').models.list());
    expect(refused).toMatchObject({ status: 401, message: expect.stringContaining('UNAUTHENTICATED') as unknown });
  });

  test('lists models by the version that it takes by itself', async () => {
    const listed = await Array.fromAsync(await client().models.list());
    expect(listed).toHaveLength(2);
  });

  test('gets an error for embeddings', async () => {
    const error = await errorOf(() => client().models.embedContent(question));
    expect(error).toMatchObject({ status: 404, message: expect.stringContaining('NOT_FOUND') as unknown });
  });

  test('gets errors as Google sends them', async () => {
    const statusOf = async (work: () => Promise<unknown>) => ((await errorOf(work)) as ApiError).status;
    expect(await statusOf(() => client('wrong').models.generateContent(question))).toBe(401);
    limited();
    expect(await statusOf(() => client().models.generateContent(question))).toBe(429);
    expect(await statusOf(() => client().models.generateContentStream(question))).toBe(429);
  });

  test('gets an error for a cut answer, and no whole answer', async () => {
    facade.upstream.play(playCut('hel'));
    const read = async () => Array.fromAsync(await client().models.generateContentStream(question));
    expect(await errorOf(read)).toBeInstanceOf(Error);
  });

  test('leaves, and the upstream call ends', async () => {
    await expectAbandoned(async () => {
      const abort = new AbortController();
      const stream = await client().models.generateContentStream({
        ...question,
        config: { abortSignal: abort.signal },
      });
      for await (const _ of stream) abort.abort();
    });
  });
});

describe('the error for a provider that failed repeatedly', () => {
  const openai = (url: string) =>
    new OpenAI({ apiKey: token, baseURL: `${url}/v1` }).responses.create({ model, input: 'hi' });
  const anthropic = (url: string) =>
    new Anthropic({ apiKey: token, baseURL: url }).messages.create({
      model,
      max_tokens: 100,
      messages: [{ role: 'user', content: 'hi' }],
    });
  const clients: [string, (url: string) => Promise<unknown>][] = [
    ['openai', openai],
    ['anthropic', anthropic],
  ];

  test.each(clients)('is not repeated by %s, which reports it to its user at once', async (_, callClient) => {
    await using broken = await startTestFacade({ learns: true });
    broken.upstream.play(playError(503, { error: { message: 'overloaded' } }));
    const retryHeaders = ({ headers }: { headers: Headers }) =>
      ['x-should-retry', 'retry-after', 'retry-after-ms'].map((name) => headers.get(name));
    // Uses fetch, since a vendor's client would retry for minutes.
    const refused = await fetch(`${broken.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    });
    expect([refused.status, ...retryHeaders(refused)]).toEqual([503, 'false', null, null]);
    type HttpFailure = { status: number; headers: Headers };
    // The circuit breaker counts failed calls. It opens at the first failure of the third call.
    for (const requests of [8, 9]) {
      const error = (await errorOf(() => callClient(broken.url))) as HttpFailure;
      expect([503, 529]).toContain(error.status);
      expect(retryHeaders(error)).toEqual(['false', null, null]);
      expect(broken.upstream.requests).toHaveLength(requests);
    }
    const error = (await errorOf(() => callClient(broken.url))) as HttpFailure;
    expect(error).toMatchObject({
      status: 502,
      message: expect.stringContaining('last with: acme: overloaded') as unknown,
    });
    expect(retryHeaders(error)).toEqual(['false', null, null]);
    expect(broken.upstream.requests).toHaveLength(9);
  });
});
