/**
 * Tests the faulty upstream with the vendors' own clients. Apart from the fault, an answer must be as the clients
 * expect it.
 */
import { once } from 'node:events';
import { connect } from 'node:tls';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answerText, answerUsage } from './answer.ts';
import { faultNames, faultsHelp, scenarioOf } from './faults.ts';
import type { FormatName } from './format.ts';
import { startFaultyUpstream } from './server.ts';
import type { FaultyRequest, FaultyUpstream } from './server.ts';

const requests: FaultyRequest[] = [];
let upstream: FaultyUpstream;
beforeAll(async () => {
  upstream = await startFaultyUpstream({ onRequest: (request) => requests.push(request) });
});
beforeEach(() => {
  requests.length = 0;
});
afterAll(() => upstream.close());

type Answer = {
  text: string;
  finish: string | null;
  inputTokens: number | undefined;
  outputTokens: number | undefined;
};

/** One vendor's client. `finish` is the vendor's finish reason for a complete answer. */
type Client = {
  finish: string;
  whole: (model: string) => Promise<Answer>;
  streamed: (model: string) => Promise<Answer>;
  models: () => Promise<(string | undefined)[]>;
};

const user = { role: 'user' as const, content: 'hi' };
const openAi = () => new OpenAI({ apiKey: 'key-1', baseURL: `${upstream.url}/v1`, maxRetries: 0 });
const claude = () => new Anthropic({ apiKey: 'key-1', baseURL: upstream.url, maxRetries: 0 });
const google = () => new GoogleGenAI({ apiKey: 'key-1', httpOptions: { baseUrl: upstream.url } });
const llama = () => new Ollama({ host: upstream.url });

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const chatAnswer = ({ choices, usage }: OpenAI.ChatCompletion): Answer => ({
  text: choices[0]?.message.content ?? '',
  finish: choices[0]?.finish_reason ?? null,
  inputTokens: usage?.prompt_tokens,
  outputTokens: usage?.completion_tokens,
});

const responseAnswer = (response: OpenAI.Responses.Response): Answer => ({
  text: response.output_text,
  finish: response.status ?? null,
  inputTokens: response.usage?.input_tokens,
  outputTokens: response.usage?.output_tokens,
});

const messageAnswer = ({ content, stop_reason: finish, usage }: Anthropic.Message): Answer => ({
  text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
  finish,
  inputTokens: usage.input_tokens,
  outputTokens: usage.output_tokens,
});

type GoogleAnswer = Awaited<ReturnType<GoogleGenAI['models']['generateContent']>>;
const googleAnswer = (chunks: readonly GoogleAnswer[]): Answer => ({
  text: chunks.map(({ text }) => text ?? '').join(''),
  finish: chunks.at(-1)?.candidates?.[0]?.finishReason ?? null,
  inputTokens: chunks.at(-1)?.usageMetadata?.promptTokenCount,
  outputTokens: chunks.at(-1)?.usageMetadata?.candidatesTokenCount,
});

type OllamaAnswer = {
  message: { content: string };
  done_reason: string;
  prompt_eval_count: number;
  eval_count: number;
};
const ollamaAnswer = (lines: readonly OllamaAnswer[]): Answer => ({
  text: lines.map(({ message }) => message.content).join(''),
  finish: lines.at(-1)?.done_reason ?? null,
  inputTokens: lines.at(-1)?.prompt_eval_count,
  outputTokens: lines.at(-1)?.eval_count,
});

const clients: Readonly<Record<FormatName, Client>> = {
  'openai-chat': {
    finish: 'stop',
    whole: async (model) => chatAnswer(await openAi().chat.completions.create({ model, messages: [user] })),
    streamed: async (model) => {
      const request = { model, messages: [user], stream_options: { include_usage: true } };
      return chatAnswer(await openAi().chat.completions.stream(request).finalChatCompletion());
    },
    models: async () => (await openAi().models.list()).data.map(({ id }) => id),
  },
  'openai-responses': {
    finish: 'completed',
    whole: async (model) => responseAnswer(await openAi().responses.create({ model, input: 'hi' })),
    streamed: async (model) => responseAnswer(await openAi().responses.stream({ model, input: 'hi' }).finalResponse()),
    models: async () => (await openAi().models.list()).data.map(({ id }) => id),
  },
  anthropic: {
    finish: 'end_turn',
    whole: async (model) => messageAnswer(await claude().messages.create({ model, max_tokens: 10, messages: [user] })),
    streamed: async (model) =>
      messageAnswer(
        await claude()
          .messages.stream({ model, max_tokens: 10, messages: [user] })
          .finalMessage(),
      ),
    models: async () => (await claude().models.list()).data.map(({ id }) => id),
  },
  gemini: {
    finish: 'STOP',
    whole: async (model) => googleAnswer([await google().models.generateContent({ model, contents: 'hi' })]),
    streamed: async (model) =>
      googleAnswer(await all(await google().models.generateContentStream({ model, contents: 'hi' }))),
    models: async () => (await all(await google().models.list())).map(({ name }) => name?.replace('models/', '')),
  },
  ollama: {
    finish: 'stop',
    whole: async (model) => ollamaAnswer([await llama().chat({ model, messages: [user] })]),
    streamed: async (model) => ollamaAnswer(await all(await llama().chat({ model, messages: [user], stream: true }))),
    models: async () => (await llama().list()).models.map(({ name }) => name),
  },
};

const formatNames = Object.keys(clients) as FormatName[];

describe.each(formatNames)('%s', (wire) => {
  const { finish, whole, streamed, models } = clients[wire];
  const answer = { text: answerText, finish, ...answerUsage };

  test.each(['healthy', 'slow-drip', 'paced@1', 'latency@1', 'huge-chunk@100000'])('%s is an answer', async (model) => {
    expect(await streamed(model)).toEqual(answer);
    expect(await whole(model)).toEqual(answer);
    expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['whole', 'whole']);
    expect(requests).toMatchObject([
      { wire, stream: true, scenario: { fault: scenarioOf(model).fault } },
      { wire, stream: false },
    ]);
  });

  test.each(['cut-before-output', 'end-before-output', 'overloaded-before-output'])(
    '%s is not an answer',
    async (model) => {
      const received = await streamed(model).catch(() => null);
      expect(received?.text ?? '').toBe('');
      expect(received?.finish).not.toBe(finish);
    },
  );

  test("an overload and a rejected key are errors in the vendor's form", async () => {
    await expect(whole('refused-key')).rejects.toThrow(/key|unauthorized/i);
    await expect(whole('http-529')).rejects.toThrow(/overloaded/i);
  });

  test('a model that is not a fault is rejected with the list of faults', async () => {
    await expect(whole('cut-afteroutput')).rejects.toThrow('cut-after-output');
  });

  test('models are listed', async () => {
    expect(await models()).toEqual(faultNames);
  });
});

test('tokens are counted', async () => {
  const { input_tokens: ofAnthropic } = await claude().messages.countTokens({ model: 'healthy', messages: [user] });
  const { totalTokens } = await google().models.countTokens({ model: 'healthy', contents: 'hi' });
  expect([ofAnthropic, totalTokens]).toEqual([answerUsage.inputTokens, answerUsage.inputTokens]);
});

async function eventNames(path: string, body: object): Promise<(string | undefined)[]> {
  const response = await fetch(`${upstream.url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  return [...(await response.text()).matchAll(/^event: ([\w.]+)$/gm)].map(([, name]) => name);
}

test("a stream of Anthropic's has the vendor's events, with a ping before the first output", async () => {
  const names = await eventNames('/v1/messages', { model: 'healthy', max_tokens: 10, stream: true, messages: [user] });
  expect(names.slice(0, 4)).toEqual(['message_start', 'content_block_start', 'ping', 'content_block_delta']);
  expect(names.slice(-3)).toEqual(['content_block_stop', 'message_delta', 'message_stop']);
});

test("a stream of OpenAI's Responses has the vendor's events", async () => {
  const names = await eventNames('/v1/responses', { model: 'healthy', stream: true, input: 'hi' });
  expect(names.filter((name) => name !== 'response.output_text.delta')).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
});

test('Gemini streams a JSON array, unless the request selects server-sent events', async () => {
  const url = `${upstream.url}/v1beta/models/huge-chunk@10:streamGenerateContent`;
  const response = await fetch(url, { method: 'POST', body: '{}' });
  expect(googleAnswer((await response.json()) as GoogleAnswer[])).toMatchObject({ finish: 'STOP', ...answerUsage });
});

test('an unknown path and a body that is not JSON are rejected', async () => {
  const post = async (path: string, body: string) =>
    (await fetch(`${upstream.url}${path}`, { method: 'POST', body })).status;
  expect([await post('/v1/other', '{}'), await post('/v1/messages', '{'), await post('/v1/messages', '{}')]).toEqual([
    404, 400, 400,
  ]);
});

test('a disconnected client is distinguished from a connection that was cut', async () => {
  await expect(clients['openai-chat'].streamed('cut-before-output')).rejects.toThrow(/terminated|closed|socket/i);
  const request = { model: 'stall-before-output', messages: [user], stream: true as const };
  const stalled = await openAi().chat.completions.create(request);
  stalled.controller.abort();
  await all(stalled);
  expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['cut', 'left']);
});

test('a TLS handshake fails at the second address', async () => {
  const { hostname, port } = new URL(upstream.tlsUrl);
  const [error] = (await once(connect({ host: hostname, port: Number(port) }), 'error')) as [Error];
  expect(error.message).toMatch(/SSL|TLS/);
});

test('one fault can apply to all models, for every third request', async () => {
  await using drill = await startFaultyUpstream({ fault: 'http-503', every: 3 });
  const statuses: number[] = [];
  for (let calls = 0; calls < 6; calls++) {
    const body = JSON.stringify({ model: 'gpt-5', messages: [user] });
    statuses.push((await fetch(`${drill.url}/v1/chat/completions`, { method: 'POST', body })).status);
  }
  expect(statuses).toEqual([200, 200, 503, 200, 200, 503]);
});

test('a fault is selected by its name, with an amount if it has one', () => {
  expect(scenarioOf('drill/latency@250')).toEqual({ fault: 'latency', amount: 250 });
  expect(scenarioOf('limited-retry-after')).toEqual({ fault: 'limited-retry-after', amount: 2 });
  for (const wrong of ['', 'toString', 'latency@', 'latency@-1', 'latency@1@2', 'latency@3600001', 'healthy@1'])
    expect(() => scenarioOf(wrong)).toThrow(expect.objectContaining({ code: 'model-not-found' }));
  for (const name of faultNames) expect(faultsHelp()).toContain(`  ${name}`);
});
