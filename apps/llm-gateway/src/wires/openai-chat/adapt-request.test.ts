import { describe, expect, test } from 'vitest';
import type { ProviderMessage } from '../../provider/port.ts';
import { openAiChatAt } from './wire.ts';

const longId = 'call_'.padEnd(60, 'x');
const call = { id: longId, type: 'function', function: { name: 'read', arguments: '{}' } };
const google = { google: { thought_signature: 'c2ln' } };
const user = { role: 'user', content: 'go' };
const answer = {
  role: 'assistant',
  content: null,
  reasoning_content: 'Hmm.',
  reasoning_details: [],
  tool_calls: [{ ...call, extra_content: google }],
};
const unthought = { role: 'assistant', content: null, tool_calls: [{ ...call, id: 'c' }] };
const result = { role: 'tool', tool_call_id: longId, content: 'a' };
const plain = { model: 'fast', messages: [user, answer, result, unthought] };

type Sent = { messages: [object, Record<string, unknown>, Record<string, unknown>, Record<string, unknown>] };
const sentTo = (baseUrl: string, body: object = plain, model = 'm') =>
  openAiChatAt(baseUrl).passOn({ wire: 'openai-chat', body: { ...body }, headers: {} }, model, false) as Sent;

test.each([
  ['https://api.openai.com/v1', 'm', []],
  ['https://api.mistral.ai/v1', 'm', []],
  ['http://127.0.0.1/v1', 'gpt-5-mini', []],
  ['https://api.deepseek.com/v1', 'm', ['reasoning_content', 'reasoning_details']],
])("at %s, %s gets only those fields of another server's answer that it accepts", (baseUrl, model, beside) => {
  const { messages } = sentTo(baseUrl, plain, model);
  const [first, said, sentResult] = messages;
  expect(first).toEqual(user);
  expect(Object.keys(said).toSorted()).toEqual(['content', ...beside, 'role', 'tool_calls']);
  const [{ id, extra_content: extra }] = said['tool_calls'] as [{ id: string; extra_content?: object }];
  expect(extra).toEqual(beside.length === 0 ? undefined : google);
  expect(sentResult['tool_call_id']).toBe(id);
});

test('Groq gets no reasoning_content, but its own reasoning', () => {
  const { messages } = sentTo('https://api.groq.com/openai/v1', { messages: [user, { ...answer, reasoning: 'Hmm.' }] });
  expect(Object.keys(messages[1]).toSorted()).toEqual(['content', 'reasoning', 'role', 'tool_calls']);
});

test('DeepSeek gets thinking with each tool call, even if it is empty', () => {
  expect(sentTo('https://api.deepseek.com/v1').messages[3]).toMatchObject({ reasoning_content: '' });
});

test('an unknown server gets the conversation unchanged', () => {
  expect(sentTo('http://127.0.0.1/v1').messages).toEqual(plain.messages);
  expect(sentTo('http://127.0.0.1/v1', plain, 'gpt-oss-20b').messages).toEqual(plain.messages);
});

test.each([
  ['https://api.openai.com/v1', { max_tokens: 5, random_seed: 1 }, { max_completion_tokens: 5, seed: 1 }],
  ['https://api.mistral.ai/v1', { max_completion_tokens: 5, seed: 1 }, { max_tokens: 5, random_seed: 1 }],
  ['https://api.groq.com/openai/v1', { max_tokens: 5, max_completion_tokens: 6, seed: 1 }, { max_tokens: 5, seed: 1 }],
  ['https://x.cognitiveservices.azure.com/openai/v1', { max_tokens: 5 }, { max_completion_tokens: 5 }],
  // This host serves models of all vendors, and some reject `max_completion_tokens`.
  ['https://x.services.ai.azure.com/openai/v1', { max_tokens: 5 }, { max_tokens: 5 }],
  ['http://127.0.0.1/v1', { max_completion_tokens: 5, random_seed: 1 }, { max_completion_tokens: 5, random_seed: 1 }],
])(
  '%s gets the limit and the seed under its own names, unless the client named its model',
  (baseUrl, said, expected) => {
    expect(sentTo(baseUrl, { model: 'fast', ...said })).toEqual({ model: 'm', ...expected });
    expect(sentTo(baseUrl, { model: 'acme/m', ...said })).toEqual({ model: 'm', ...said });
  },
);

test.each(['gpt-5-mini', 'o3', 'openai/gpt-5-mini'])(
  "%s is OpenAI's at any host, and gets the limit in its field",
  (model) => {
    const settings = { maxOutputTokens: 5 };
    const foundry = 'https://x.services.ai.azure.com/openai/v1';
    for (const baseUrl of ['http://127.0.0.1/v1', 'https://models.github.ai/inference', foundry]) {
      for (const said of [{ max_tokens: 5 }, { max_completion_tokens: 5 }, { max_tokens: 6, max_completion_tokens: 5 }])
        expect(sentTo(baseUrl, { model: 'fast', ...said }, model)).toEqual({ model, max_completion_tokens: 5 });
      const wire = openAiChatAt(baseUrl);
      const capped = { wire: 'openai-chat' as const, body: { model: 'fast' }, headers: {}, ...settings };
      expect(wire.passOn(capped, model, false)).toEqual({ model, max_completion_tokens: 5 });
      const translated = wire.body({ model, messages: [], tools: [], settings }, false);
      expect(translated).toEqual({ model, messages: [], max_completion_tokens: 5 });
    }
  },
);

test("OpenRouter gets back the reasoning that it sent for a model of OpenAI's", () => {
  const [, said] = sentTo('https://openrouter.ai/api/v1', plain, 'openai/gpt-5').messages;
  const { tool_calls: _calls, ...beside } = answer;
  expect(said).toMatchObject({ ...beside, tool_calls: [{ extra_content: google }] });
});

describe.each([
  { whose: 'one of another server', id: longId },
  { whose: 'one that Kimi made', id: 'functions.mcp__github__create_pull_request:3' },
])("a call's id of more than forty characters, $whose", ({ id }) => {
  const asCalled = { ...call, id };
  const body = {
    messages: [
      { ...answer, tool_calls: [asCalled] },
      { ...result, tool_call_id: id },
    ],
  };
  const translated: ProviderMessage[] = [
    { role: 'assistant', content: [{ type: 'tool-call', id, name: 'read', arguments: '{}' }] },
    { role: 'tool', content: [{ type: 'tool-result', callId: id, name: 'read', content: 'a', isError: false }] },
  ];
  /**
   * Returns the ids of call and result in three requests. The first two come in the same wire format, one for an alias
   * and one for the named model. The third comes in another format.
   */
  const idsAt = (baseUrl: string, model: string) => {
    const request = { model, messages: translated, tools: [], settings: {} };
    const sent = [
      sentTo(baseUrl, { ...body, model: 'fast' }, model),
      sentTo(baseUrl, { ...body, model: `acme/${model}` }, model),
      openAiChatAt(baseUrl).body(request, false) as Sent,
    ];
    return sent.flatMap(({ messages: [said, sentResult] }) => [
      (said as { tool_calls: [{ id: string }] }).tool_calls[0].id,
      sentResult['tool_call_id'],
    ]);
  };

  test.each([
    'http://127.0.0.1/v1',
    'https://openrouter.ai/api/v1',
    'https://api.moonshot.ai/v1',
    'https://api.moonshot.cn/v1',
    'https://api.deepseek.com/v1',
  ])('stays unchanged at %s', (baseUrl) => {
    expect(new Set(idsAt(baseUrl, 'kimi-k2'))).toEqual(new Set([id]));
  });

  test.each([
    ['https://api.openai.com/v1', 'm'],
    ['https://api.groq.com/openai/v1', 'moonshotai/kimi-k2'],
    ['https://api.cerebras.ai/v1', 'm'],
    ['http://127.0.0.1/v1', 'gpt-5-mini'],
    ['https://openrouter.ai/api/v1', 'openai/gpt-5-mini'],
  ])('is replaced by one of forty characters at %s for %s', (baseUrl, model) => {
    const [first, ...others] = idsAt(baseUrl, model);
    expect(first).toMatch(/^[0-9a-f]{40}$/);
    expect(new Set(others)).toEqual(new Set([first]));
  });
});
