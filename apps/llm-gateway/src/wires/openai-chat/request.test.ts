import type { ModelSettings } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ModelRequest, ProviderMessage } from '../../provider/port.ts';
import { openAiChat, openAiChatAt } from './wire.ts';

const bodyOf = (messages: ProviderMessage[], tools: ModelRequest['tools'] = [], settings: ModelSettings = {}) =>
  openAiChat.body({ model: 'gpt-x', messages, tools, settings }, true) as { messages: unknown[]; tools?: unknown[] };
const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const result = (callId: string, content: string, isError = false) => ({
  type: 'tool-result' as const,
  callId,
  name: 'run',
  content,
  isError,
});

test('a request streams, requests usage, and has tools only if there are any', () => {
  expect(bodyOf([{ role: 'user', content: [text('a')] }])).toEqual({
    model: 'gpt-x',
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: 'a' }],
  });
  const parameters = { type: 'object', properties: {} };
  expect(bodyOf([], [{ name: 'list', description: 'Lists.', parameters }]).tools).toEqual([
    { type: 'function', function: { name: 'list', description: 'Lists.', parameters } },
  ]);
});

test('a conversation has tool calls and their results', () => {
  const { messages } = bodyOf([
    { role: 'system', content: [text('You code.')] },
    { role: 'user', content: [text('Fix it.')] },
    { role: 'assistant', content: [text('I look.'), call('a', 'run', '{"command":"ls"}'), call('b', 'list', '{}')] },
    { role: 'tool', content: [result('a', 'x.txt'), result('b', 'no such folder', true)] },
    { role: 'assistant', content: [call('c', 'finish', '{}')] },
    { role: 'tool', content: [result('c', 'Error: not yet', true)] },
    { role: 'assistant', content: [] },
    { role: 'user', content: [text('Go on.')] },
  ]);
  expect(messages).toEqual([
    { role: 'system', content: 'You code.' },
    { role: 'user', content: 'Fix it.' },
    {
      role: 'assistant',
      content: 'I look.',
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'run', arguments: '{"command":"ls"}' } },
        { id: 'b', type: 'function', function: { name: 'list', arguments: '{}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'a', content: 'x.txt' },
    { role: 'tool', tool_call_id: 'b', content: 'Error: no such folder' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'finish', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: 'Error: not yet' },
    { role: 'assistant', content: '' },
    { role: 'user', content: 'Go on.' },
  ]);
});

test.each([
  ['read', 'read'],
  ['functions.read file:0', 'functions_read_file_0'],
  ['', 'unnamed'],
  ['x'.repeat(100), 'x'.repeat(64)],
])('the name %j of an earlier call is sent back as %s, since servers reject other names', (made, sent) => {
  const { messages } = bodyOf([{ role: 'assistant', content: [call('a', made, '{}')] }]);
  expect(messages).toMatchObject([{ tool_calls: [{ function: { name: sent } }] }]);
});

test.each([
  ['{"command": ', '{"malformedArguments":"{\\"command\\": "}'],
  ['[1]', '{"malformedArguments":"[1]"}'],
  ['"x"', '{"malformedArguments":"\\"x\\""}'],
  ['', '{}'],
  [' {"a":1} ', ' {"a":1} '],
])('the arguments %j are sent back as %s, since a server parses them again', (written, sent) => {
  const { messages } = bodyOf([{ role: 'assistant', content: [call('a', 'run', written)] }]);
  expect(messages).toMatchObject([{ tool_calls: [{ function: { arguments: sent } }] }]);
});

test('an id that is too long for OpenAI is shortened in the same way in call and result, but not for an unknown server, which may need it', () => {
  const long = `chatcmpl-tool-${'0123456789abcdef'.repeat(2)}`;
  const said: ProviderMessage[] = [
    { role: 'assistant', content: [call(long, 'run', '{}'), call('short', 'run', '{}')] },
    { role: 'tool', content: [result(long, 'x'), result('short', 'y')] },
  ];
  const [whole] = bodyOf(said).messages;
  expect(whole).toMatchObject({ tool_calls: [{ id: long }, { id: 'short' }] });
  const wire = openAiChatAt('https://api.openai.com/v1');
  const { messages } = wire.body({ model: 'm', messages: said, tools: [], settings: {} }, true) as {
    messages: unknown[];
  };
  const [answer, first, second] = messages as [{ tool_calls: { id: string }[] }, object, object];
  const [id, short] = answer.tool_calls.map((made) => made.id);
  expect(id).toMatch(/^[0-9a-f]{40}$/);
  expect(short).toBe('short');
  expect(first).toMatchObject({ tool_call_id: id });
  expect(second).toMatchObject({ tool_call_id: 'short' });
});

const image = { mediaType: 'image/png', base64: 'AAAA' };
const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };

test("images are in the user's messages, inline or by URL", () => {
  const content = [
    text('What is this?'),
    { type: 'image' as const, image },
    { type: 'image' as const, image: { url: 'https://h/i.png' } },
  ];
  expect(bodyOf([{ role: 'user', content }]).messages).toEqual([
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this?' },
        picture,
        { type: 'image_url', image_url: { url: 'https://h/i.png' } },
      ],
    },
  ]);
  expect(bodyOf([{ role: 'user', content: [{ type: 'image', image }] }]).messages).toEqual([
    { role: 'user', content: [picture] },
  ]);
});

test('texts and images are in their original order', () => {
  const shown = { type: 'image' as const, image };
  const content = [text('Image 1:'), shown, text(''), text('Image 2:'), shown, text('Compare.'), text('Be brief.')];
  const said = (value: string) => ({ type: 'text', text: value });
  expect(bodyOf([{ role: 'user', content }]).messages).toEqual([
    {
      role: 'user',
      content: [said('Image 1:'), picture, said('Image 2:'), picture, said('Compare.'), said('Be brief.')],
    },
  ]);
});

test('several texts become one string with blank lines, which all servers accept, and the texts of an answer are joined', () => {
  const { messages } = bodyOf([
    { role: 'system', content: [text('You are A.'), text('Be B.')] },
    { role: 'user', content: [text('a'), text(''), text('b')] },
    { role: 'assistant', content: [{ ...text('one '), signature: { wire: 'gemini', value: 's' } }, text('text')] },
  ]);
  expect(messages).toEqual([
    { role: 'system', content: 'You are A.\n\nBe B.' },
    { role: 'user', content: 'a\n\nb' },
    { role: 'assistant', content: 'one text' },
  ]);
});

test("a tool's images follow all results, in a user message", () => {
  const content = [{ ...result('a', 'a picture'), images: [image] }, result('b', 'none')];
  expect(bodyOf([{ role: 'tool', content }]).messages).toEqual([
    { role: 'tool', tool_call_id: 'a', content: 'a picture' },
    { role: 'tool', tool_call_id: 'b', content: 'none' },
    { role: 'user', content: [picture] },
  ]);
});

const thought = { type: 'thinking' as const, text: 'hm', redacted: false };

test('thinking is left out, since the wire format has no field for it', () => {
  const content = [thought, text('a')];
  expect(bodyOf([{ role: 'assistant', content }]).messages).toEqual([{ role: 'assistant', content: 'a' }]);
  expect(JSON.stringify(bodyOf([{ role: 'assistant', content: [thought, call('a', 'run', '{}')] }]))).not.toContain(
    'hm',
  );
});

test.each(['https://api.deepseek.com', 'https://api.moonshot.ai/v1'])(
  '%s gets thinking with each tool call, even if it is empty',
  (baseUrl) => {
    const messages: ProviderMessage[] = [
      { role: 'assistant', content: [thought, text('I look.'), call('a', 'run', '{}')] },
      { role: 'assistant', content: [call('b', 'run', '{}')] },
      { role: 'assistant', content: [thought, text('Done.')] },
    ];
    const body = openAiChatAt(baseUrl).body(
      { model: 'm', messages, tools: [], settings: { maxOutputTokens: 9 } },
      true,
    );
    expect(body).toMatchObject({
      max_tokens: 9,
      messages: [
        { content: 'I look.', tool_calls: [{ id: 'a' }], reasoning_content: 'hm' },
        { content: null, tool_calls: [{ id: 'b' }], reasoning_content: '' },
        { content: 'Done.' },
      ],
    });
  },
);

test('Mistral gets no request for usage, which it always reports, and only call ids in its own form', () => {
  const messages: ProviderMessage[] = [
    { role: 'assistant', content: [call('call_of_another', 'run', '{}'), call('aBcDeFgH1', 'run', '{}')] },
    { role: 'tool', content: [result('call_of_another', 'one'), result('aBcDeFgH1', 'two')] },
  ];
  const wire = openAiChatAt('https://api.mistral.ai/v1');
  const body = wire.body({ model: 'm', messages, tools: [], settings: { seed: 7 } }, true) as Record<string, unknown>;
  expect(body).toMatchObject({ stream: true, random_seed: 7 });
  expect(Object.keys(body).filter((name) => ['stream_options', 'seed'].includes(name))).toEqual([]);
  const [said, ...results] = body['messages'] as [{ tool_calls: { id: string }[] }, ...{ tool_call_id: string }[]];
  const ids = said.tool_calls.map(({ id }) => id);
  expect(ids).toEqual([expect.stringMatching(/^[a-zA-Z0-9]{9}$/), 'aBcDeFgH1']);
  expect(results.map((each) => each.tool_call_id)).toEqual(ids);
  const original = {
    wire: 'openai-chat',
    body: { stream_options: { include_usage: true }, top_k: 3 },
    headers: {},
  } as const;
  expect(wire.passOn(original, 'm', true)).toEqual({ model: 'm', stream: true, top_k: 3 });
});

const tools = [{ name: 'list', description: 'Lists.', parameters: { type: 'object' } }];
const schema = { type: 'object' };
test.each<[ModelSettings, object]>([
  [{ maxOutputTokens: 9 }, { max_tokens: 9 }],
  [{ temperature: 0 }, { temperature: 0 }],
  [{ topP: 0.5 }, { top_p: 0.5 }],
  [{ seed: 0 }, { seed: 0 }],
  [{ stopSequences: ['x', 'y'] }, { stop: ['x', 'y'] }],
  [{ thinking: { effort: 'low' } }, { reasoning_effort: 'low' }],
  [{ toolChoice: 'auto' }, { tool_choice: 'auto' }],
  [{ toolChoice: { tool: 'list' } }, { tool_choice: { type: 'function', function: { name: 'list' } } }],
  [{ parallelToolCalls: false }, { parallel_tool_calls: false }],
  [{ responseFormat: { type: 'text' } }, { response_format: { type: 'text' } }],
  [{ responseFormat: { type: 'json' } }, { response_format: { type: 'json_object' } }],
  [
    { responseFormat: { type: 'json-schema', name: 'n', description: 'd', schema, strict: true } },
    { response_format: { type: 'json_schema', json_schema: { name: 'n', description: 'd', schema, strict: true } } },
  ],
  [{ thinking: { budgetTokens: 9 } }, { reasoning_effort: 'low' }],
  [{ thinking: { budgetTokens: 0 } }, { reasoning_effort: 'none' }],
  [{ topK: 1 }, {}],
])('the settings %j', (settings, expected) => {
  const plain = bodyOf([], tools);
  expect(bodyOf([], tools, settings)).toEqual({ ...plain, ...expected });
});

test('settings of tools are left out if there are no tools', () => {
  expect(bodyOf([], [], { toolChoice: 'required', parallelToolCalls: true })).toEqual(bodyOf([]));
});

test.each([
  ['https://api.openai.com/v1', 'max_completion_tokens'],
  ['https://eu.api.openai.com/v1', 'max_completion_tokens'],
  ['https://mine.openai.azure.com/openai/v1', 'max_completion_tokens'],
  ['https://mine.cognitiveservices.azure.com/openai/v1', 'max_completion_tokens'],
  ['https://mine.services.ai.azure.com/openai/v1', 'max_tokens'],
  ['https://notopenai.com/v1', 'max_tokens'],
  ['http://127.0.0.1:11434/v1', 'max_tokens'],
])('at %s the limit is %s', (baseUrl, field) => {
  const request = { model: 'm', messages: [], tools: [], settings: { maxOutputTokens: 9 } };
  const body = openAiChatAt(baseUrl).body(request, true);
  expect(Object.keys(body).filter((name) => name.startsWith('max_'))).toEqual([field]);
});

test('an unstreamed answer is requested without stream options', () => {
  const body = openAiChat.body({ model: 'm', messages: [], tools: [], settings: {} }, false);
  expect(body).toEqual({ model: 'm', messages: [] });
});

test('a request of the same wire format is passed on with another model and a request for usage', () => {
  const body = { model: 'coppice/x', messages: [], logit_bias: { 1: 2 }, stream: true, stream_options: { a: 1 } };
  const original = { wire: 'openai-chat', body, headers: { 'x-own': 'y' } } as const;
  const streamed = { ...body, model: 'm', stream_options: { a: 1, include_usage: true } };
  expect(openAiChat.passOn(original, 'm', true)).toEqual(streamed);
  const { stream: _stream, stream_options: _options, ...plain } = body;
  expect(openAiChat.passOn({ ...original, body: plain }, 'm', false)).toEqual({ ...plain, model: 'm' });
  expect(openAiChat.passOn({ ...original, body: plain }, 'm', true)).toMatchObject({
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(openAiChat.headers(original)).toEqual({ 'x-own': 'y' });
  const limited = { ...original, body: plain, maxOutputTokens: 300 };
  expect(openAiChat.passOn(limited, 'm', false)).toEqual({ ...plain, model: 'm', max_tokens: 300 });
  const atOpenAi = openAiChatAt('https://api.openai.com/v1').passOn(limited, 'm', true);
  expect(atOpenAi).toMatchObject({ max_completion_tokens: 300, stream: true });
  expect(atOpenAi).not.toHaveProperty('max_tokens');
  const unlimited = { ...plain, max_tokens: -1, max_completion_tokens: -1, n_predict: -1 };
  expect(openAiChat.passOn({ ...limited, body: unlimited }, 'm', false)).toEqual({
    ...plain,
    model: 'm',
    max_tokens: 300,
  });
});
