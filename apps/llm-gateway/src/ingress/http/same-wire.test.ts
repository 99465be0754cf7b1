/** Tests requests to a provider that has the client's wire format. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anthropic } from '../../wires/anthropic/wire.ts';
import { gemini } from '../../wires/gemini/wire.ts';
import { httpProvider } from '../../transport/provider.ts';
import type { Wire } from '../../transport/wire.ts';
import { openAiChat } from '../../wires/openai-chat/wire.ts';
import { openAiResponses } from '../../wires/openai-responses/wire.ts';
import { generous } from '../../test-support/attempt.ts';
import { playError, startModelServer } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { pack } from './foreign-signature.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';

const wires = [anthropic, gemini, openAiChat, openAiResponses];
let upstream: ModelServer;
let facade: TestFacade;
beforeAll(async () => {
  upstream = await startModelServer();
  const origin = new URL(upstream.baseUrl).origin;
  const baseUrl = (wire: Wire) => (wire === openAiChat || wire === openAiResponses ? `${origin}/v1` : origin);
  facade = await startTestFacade({
    aliases: [
      { name: 'fast', candidates: ['openai-responses/limited', 'openai-responses/gpt-5-mini'], strategy: 'order' },
    ],
    providers: wires.map((wire) =>
      httpProvider({ name: wire.name, wire, baseUrl: baseUrl(wire), key: 'a-key', keyRequired: null }, generous),
    ),
  });
});
afterAll(async () => {
  await facade[Symbol.asyncDispose]();
  await upstream.close();
});

const user = { role: 'user', content: 'hi' };
const cases = [
  {
    wire: anthropic,
    path: '/v1/messages?beta=true',
    fixture: 'thinking.sse',
    upstreamPath: '/v1/messages',
    body: {
      max_tokens: 10,
      stream: true,
      messages: [{ ...user, content: [{ type: 'document', source: { type: 'url', url: 'https://a.invalid/b.pdf' } }] }],
      context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
    },
    headers: { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'context-management-2025-06-27' },
  },
  {
    wire: openAiResponses,
    path: '/v1/responses',
    fixture: 'thinking-and-tool-calls.sse',
    upstreamPath: '/v1/responses',
    body: { stream: true, input: [{ type: 'computer_call_output', call_id: 'c' }], previous_response_id: 'resp_1' },
    headers: {},
  },
  {
    wire: gemini,
    path: '/v1beta/models/gemini/one:streamGenerateContent?alt=sse',
    fixture: 'thinking-and-tool-calls.sse',
    upstreamPath: '/v1beta/models/one:streamGenerateContent?alt=sse',
    body: { contents: [{ parts: [{ videoMetadata: {} }] }], safetySettings: [{ category: 'X' }] },
    headers: {},
  },
];

/** Returns the data of each event, without separators. */
const dataOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.replace(/^data: ?/, '').trim())
    .filter((line) => line.startsWith('{'));

test.each(cases)('$wire.name', async ({ wire, path, fixture, upstreamPath, body, headers }) => {
  const recorded = readFileSync(new URL(`../../wires/${wire.name}/fixtures/${fixture}`, import.meta.url), 'utf8');
  upstream.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(recorded);
  });
  const model = wire === gemini ? {} : { model: `${wire.name}/one` };
  const response = await fetch(`${facade.url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': token, ...headers },
    body: JSON.stringify({ ...model, ...body }),
  });
  expect(response.status).toBe(200);
  expect(dataOf(await response.text())).toEqual(dataOf(recorded));
  const served = upstream.requests.at(-1);
  expect(served?.path).toBe(upstreamPath);
  expect(served?.body).toEqual({ ...body, ...(wire === gemini ? {} : { model: 'one', stream: true }) });
  expect(served?.headers).toMatchObject(headers);
  expect(JSON.stringify(served?.headers)).not.toContain(token);
});

const base64 = (text: string) => Buffer.from(text).toString('base64');
const foreign = pack({ signature: { wire: 'ollama', value: 'c2ln' } });
const unsigned = pack({});
const call = { type: 'tool_use', id: 'c', name: 'read', input: {} };
const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: 'a' }] };
const document = { type: 'document', source: { type: 'url', url: 'https://a.invalid/b.pdf' } };
const question = { ...user, content: [document] };
const own = { type: 'thinking', thinking: 'mine', signature: 'sig' };
const webSearch = { type: 'web_search_20250305', name: 'web_search', cache_control: { type: 'ephemeral', ttl: '1h' } };
const claudeSettings = {
  max_tokens: 10,
  tools: [webSearch],
  output_config: { effort: 'max' },
  metadata: { user_id: 'u' },
};
const clearsResults = { type: 'clear_tool_uses_20250919' };
const thinksAndClears = {
  thinking: { type: 'enabled', budget_tokens: 2_000 },
  context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }, clearsResults] },
};
/** A tool loop of Claude, which thinks only before its first call. */
const loop = [
  user,
  { role: 'assistant', content: [own, call] },
  result,
  { role: 'assistant', content: [call] },
  result,
];
const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAA' };
const madeCall = { type: 'function_call', call_id: 'c', name: 'read', arguments: '{}' };
const gptSettings = { store: true, tools: [{ type: 'web_search' }], text: { verbosity: 'low' }, metadata: { a: 'b' } };
const geminiCall = { functionCall: { name: 'read', args: {} } };
const safety = { safetySettings: [{ category: 'X' }] };

test.each([
  {
    what: 'Anthropic',
    path: '/v1/messages',
    body: {
      model: 'anthropic/one',
      ...claudeSettings,
      messages: [
        question,
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: foreign },
            { type: 'thinking', thinking: 'hm', signature: unsigned },
            { type: 'redacted_thinking', data: foreign },
            own,
            { type: 'text', text: '' },
            { type: 'text', text: 'yes' },
          ],
        },
        user,
        { role: 'assistant', content: [{ type: 'redacted_thinking', data: unsigned }] },
        user,
      ],
    },
    sent: {
      ...claudeSettings,
      messages: [question, { role: 'assistant', content: [own, { type: 'text', text: 'yes' }] }, user, user],
    },
  },
  {
    what: 'Anthropic, which lets nobody think who began without',
    path: '/v1/messages',
    body: {
      model: 'anthropic/one',
      ...claudeSettings,
      ...thinksAndClears,
      messages: [
        question,
        { role: 'assistant', content: [{ type: 'redacted_thinking', data: foreign }, call] },
        result,
      ],
    },
    sent: {
      ...claudeSettings,
      context_management: { edits: [clearsResults] },
      messages: [question, { role: 'assistant', content: [call] }, result],
    },
  },
  {
    what: 'Anthropic, where others were before this turn',
    path: '/v1/messages',
    body: {
      model: 'anthropic/one',
      ...claudeSettings,
      ...thinksAndClears,
      messages: [
        question,
        {
          role: 'assistant',
          content: [
            { type: 'redacted_thinking', data: foreign },
            { type: 'text', text: 'yes' },
          ],
        },
        ...loop,
      ],
    },
    sent: {
      ...claudeSettings,
      ...thinksAndClears,
      messages: [question, { role: 'assistant', content: [{ type: 'text', text: 'yes' }] }, ...loop],
    },
  },
  {
    what: 'Responses',
    path: '/v1/responses',
    body: {
      model: 'openai-responses/one',
      ...gptSettings,
      input: [
        user,
        { type: 'reasoning', id: 'rs_0', summary: [], encrypted_content: foreign },
        { type: 'reasoning', id: 'rs_0', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: unsigned },
        reasoning,
        madeCall,
        { type: 'computer_call_output', call_id: 'd' },
      ],
    },
    sent: { ...gptSettings, input: [user, reasoning, madeCall, { type: 'computer_call_output', call_id: 'd' }] },
  },
  {
    what: 'Gemini',
    path: '/v1beta/models/gemini/gemini-3-pro:generateContent',
    body: {
      ...safety,
      contents: [
        { role: 'user', parts: [{ videoMetadata: {} }] },
        { role: 'model', parts: [{ text: 'hm', thought: true, thoughtSignature: base64(foreign) }] },
        {
          role: 'model',
          parts: [
            { text: 'hm', thought: true, thought_signature: base64(foreign) },
            { text: 'yes', thoughtSignature: base64(foreign) },
            geminiCall,
            geminiCall,
          ],
        },
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ ...geminiCall, thoughtSignature: 'b3du' }] },
      ],
    },
    sent: {
      ...safety,
      contents: [
        { role: 'user', parts: [{ videoMetadata: {} }] },
        {
          role: 'model',
          parts: [{ text: 'yes' }, { ...geminiCall, thoughtSignature: 'skip_thought_signature_validator' }, geminiCall],
        },
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ ...geminiCall, thoughtSignature: 'b3du' }] },
      ],
    },
  },
])('only the thinking of other providers is removed: $what', async ({ path, body, sent }) => {
  upstream.play(playError(400, { error: { message: 'enough' } }));
  const response = await fetch(`${facade.url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': token },
    body: JSON.stringify(body),
  });
  expect(await response.text()).toContain('enough');
  const {
    model: _model,
    stream: _stream,
    ...received
  } = (upstream.requests.at(-1)?.body ?? {}) as Record<string, unknown>;
  expect(received).toEqual(sent);
});

test('the second candidate of an alias does not get fields that it rejects', async () => {
  upstream.play(playError(429, { error: { message: 'slow down' } }), (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(readFileSync(new URL('../../wires/openai-responses/fixtures/text.sse', import.meta.url)));
  });
  const said = { input: 'hi', stream: true, metadata: { a: 'b' } };
  const response = await fetch(`${facade.url}/v1/responses`, {
    method: 'POST',
    headers: { 'x-api-key': token },
    body: JSON.stringify({ ...said, model: 'fast', temperature: 0.2 }),
  });
  expect(await response.text()).toContain('response.completed');
  expect(upstream.requests.slice(-2).map(({ body }) => body)).toEqual([
    { ...said, model: 'limited', temperature: 0.2 },
    { ...said, model: 'gpt-5-mini' },
  ]);
});

test('a Chat Completions answer whose ids contain signatures, as LiteLLM sends those of Gemini, is passed on', async () => {
  const id = `call_1__thought__${'Z2Vt'.repeat(1_000)}`;
  const made = { index: 0, id, type: 'function', function: { name: 'read', arguments: '{}' } };
  const chunk = (delta: object, reason: string | null = null) => ({
    id: `chatcmpl-${'x'.repeat(600)}`,
    model: 'gemini-3-pro',
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  const chunks = [chunk({ role: 'assistant', tool_calls: [made] }), chunk({}, 'tool_calls')];
  const written = chunks.map((each) => JSON.stringify(each));
  upstream.play((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end([...written, '[DONE]'].map((data) => `data: ${data}\n\n`).join(''));
  });
  const response = await fetch(`${facade.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'openai-chat/one', stream: true, messages: [user] }),
  });
  expect(dataOf(await response.text())).toEqual(written);
});
