/** Tests each client of the AI SDK against the façade. The provider is a Chat Completions server. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import type { LanguageModel, ToolSet } from 'ai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { playError, textStream } from '../../test-support/model-server.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playCut, playEither, toolStream, wholeCompletion, wholeToolCompletion } from './test-support/upstream.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startTestFacade();
});
afterAll(() => facade[Symbol.asyncDispose]());

const model = 'acme/acme-1';
const schema = { type: 'object' as const, properties: { path: { type: 'string' as const } } };
const sayHello = () => facade.upstream.play(playEither(textStream('hello'), wholeCompletion({ content: 'hello' })));
const callTools = () => facade.upstream.play(playEither(toolStream, wholeToolCompletion));

const openai = () => createOpenAI({ apiKey: token, baseURL: `${facade.url}/v1` });
const anthropic = () => createAnthropic({ apiKey: token, baseURL: `${facade.url}/v1` });
const endpoints: [string, () => LanguageModel][] = [
  ['chat completions', () => openai().chat(model)],
  ['responses', () => openai().responses(model)],
  ['messages', () => anthropic()(model)],
];
const described = tool({ description: 'Works with files.', inputSchema: jsonSchema(schema) });
// The AI SDK's types aren't compatible with exactOptionalPropertyTypes.
const tools = { read: described, list: described } as unknown as ToolSet;

test.each(endpoints)('chats and calls tools by %s', async (_, endpoint) => {
  const prompt = 'hi';
  sayHello();
  expect((await generateText({ model: endpoint(), prompt })).text).toBe('hello');
  expect(await streamText({ model: endpoint(), prompt }).text).toBe('hello');
  callTools();
  const expected = [
    { toolCallId: 'c0', toolName: 'read', input: { path: 'a.txt' } },
    { toolCallId: 'c1', toolName: 'list', input: {} },
  ];
  expect((await generateText({ model: endpoint(), prompt, tools })).toolCalls).toMatchObject(expected);
  expect(await streamText({ model: endpoint(), prompt, tools }).toolCalls).toMatchObject(expected);
});

test.each(endpoints)('gets only an error for a stream from %s that is cut', async (_, endpoint) => {
  facade.upstream.play(playCut('hel'));
  const { fullStream } = streamText({ model: endpoint(), prompt: 'hi', onError: () => {} });
  const parts = await Array.fromAsync(fullStream);
  const texts = parts.flatMap((part) => (part.type === 'text-delta' ? [part.text] : []));
  expect(texts.join('')).toBe('hel');
  const errors = parts.flatMap((part) => (part.type === 'error' ? [part.error] : []));
  const words = errors.map((error) => (error instanceof Error ? error.message : JSON.stringify(error)));
  expect(words).toEqual([expect.stringMatching(/acme.*(ended|failed)/)]);
});

test.each(endpoints)('gets a rate limit of %s as an error', async (_, endpoint) => {
  facade.upstream.play(playError(429, { error: { message: 'slow down' } }, { 'retry-after': '7' }));
  const generating = generateText({ model: endpoint(), prompt: 'hi', maxRetries: 0 });
  await expect(generating).rejects.toMatchObject({ statusCode: 429 });
});
