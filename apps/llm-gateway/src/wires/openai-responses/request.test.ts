import type { ModelSettings } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ModelRequest, ProviderMessage } from '../../provider/port.ts';
import { requestBody } from './request.ts';
import { openAiResponses } from './wire.ts';

const tools = [{ name: 'list', description: 'Lists.', parameters: { type: 'object', properties: {} } }];
const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const thought = (value: string, wire: string) => ({
  type: 'thinking' as const,
  text: '',
  redacted: false,
  signature: { wire, value },
});
const encrypted = (id: string) => thought(JSON.stringify({ id, encrypted_content: `e-${id}` }), 'openai-responses');
const reasoning = (id: string) => ({ type: 'reasoning', id, summary: [], encrypted_content: `e-${id}` });
const bodyOf = (messages: ProviderMessage[], rest: Partial<ModelRequest> = {}) =>
  requestBody({ model: 'gpt-5', messages, tools: [], settings: {}, ...rest }, true) as Record<string, unknown>;
const withSettings = (settings: ModelSettings) => bodyOf([], { settings, tools });

test("a request makes the server store nothing, and requests the model's reasoning", () => {
  expect(bodyOf([{ role: 'user', content: [text('a'), text('b')] }])).toEqual({
    model: 'gpt-5',
    stream: true,
    store: false,
    include: ['reasoning.encrypted_content'],
    input: [
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'a' },
          { type: 'input_text', text: 'b' },
        ],
      },
    ],
  });
  // These models reject `include` with HTTP 400.
  for (const model of ['gpt-4.1', 'gpt-4o-mini', 'gpt-5-chat-latest'])
    expect(bodyOf([], { model })).not.toHaveProperty('include');
});

test('system and user messages stay separate and in order', () => {
  const shown = { type: 'image' as const, image: { url: 'https://h/i' } };
  const { instructions, input } = bodyOf([
    { role: 'system', content: [text('You are A.'), text('Be B.')] },
    { role: 'user', content: [text('Image 1:'), shown, text('Image 2:'), shown] },
  ]);
  expect(instructions).toBe('You are A.\n\nBe B.');
  const picture = { type: 'input_image', image_url: 'https://h/i', detail: 'auto' };
  expect(input).toMatchObject([{ content: [{ text: 'Image 1:' }, picture, { text: 'Image 2:' }, picture] }]);
});

test('in a conversation, reasoning precedes the item to which it led, and calls precede results', () => {
  const image = { mediaType: 'image/png', base64: 'AAAA' };
  const { input, instructions } = bodyOf([
    { role: 'system', content: [text('You code.')] },
    { role: 'system', content: [text('Be brief.')] },
    { role: 'user', content: [text('Fix it.'), { type: 'image', image }] },
    {
      role: 'assistant',
      content: [
        encrypted('rs_1'),
        text('I look.'),
        call('a', 'run', '{"c":1}'),
        encrypted('rs_2'),
        call('b', 'list', ''),
      ],
    },
    {
      role: 'tool',
      content: [
        { type: 'tool-result', callId: 'a', name: 'run', content: 'x.txt', isError: false, images: [image] },
        { type: 'tool-result', callId: 'b', name: 'list', content: 'no such folder', isError: true },
      ],
    },
    { role: 'system', content: [text('Time is short.')] },
    { role: 'assistant', content: [] },
    { role: 'user', content: [text('Go on.')] },
  ]);
  const picture = { type: 'input_image', image_url: 'data:image/png;base64,AAAA', detail: 'auto' };
  expect(instructions).toBe('You code.\n\nBe brief.');
  expect(input).toEqual([
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Fix it.' }, picture] },
    reasoning('rs_1'),
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look.' }] },
    { type: 'function_call', call_id: 'a', name: 'run', arguments: '{"c":1}' },
    reasoning('rs_2'),
    { type: 'function_call', call_id: 'b', name: 'list', arguments: '{}' },
    { type: 'function_call_output', call_id: 'a', output: [{ type: 'input_text', text: 'x.txt' }, picture] },
    { type: 'function_call_output', call_id: 'b', output: 'Error: no such folder' },
    { type: 'message', role: 'system', content: [{ type: 'input_text', text: 'Time is short.' }] },
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Go on.' }] },
  ]);
});

test('reasoning is sent back only with a signature of this wire format, and only if an item follows', () => {
  const { input } = bodyOf([
    {
      role: 'assistant',
      content: [
        thought('sig', 'anthropic'),
        { ...encrypted('rs_0'), signature: { ...encrypted('rs_0').signature, wire: 'anthropic' } },
        { type: 'thinking', text: 'unsigned', redacted: false },
        thought('no JSON', 'openai-responses'),
        { ...encrypted('rs_1'), text: 'hm' },
        text('a'),
        encrypted('rs_2'),
      ],
    },
  ]);
  expect(input).toEqual([
    { ...reasoning('rs_1'), summary: [{ type: 'summary_text', text: 'hm' }] },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'a' }] },
  ]);
});

test('names and ids that another model invented are converted to an accepted form, the same in call and result', () => {
  const long = 'x'.repeat(100);
  const { input } = bodyOf([
    { role: 'assistant', content: [call(long, 'functions.read file:0', '[1')] },
    { role: 'tool', content: [{ type: 'tool-result', callId: long, name: 'read', content: 'ok', isError: false }] },
  ]);
  const [made, result] = input as { call_id: string }[];
  expect(made).toMatchObject({ name: 'functions_read_file_0', arguments: '{"malformedArguments":"[1"}' });
  expect(made?.call_id).toMatch(/^[0-9a-f]{64}$/);
  expect(result?.call_id).toBe(made?.call_id);
});

test('tools keep their optional parameters', () => {
  expect(withSettings({})['tools']).toEqual([{ type: 'function', ...tools[0], strict: false }]);
});

const schema = { type: 'object' };
test.each<[ModelSettings, object]>([
  [{ maxOutputTokens: 9 }, { max_output_tokens: 9 }],
  [{ temperature: 0, topP: 0.5 }, {}],
  [{ thinking: { effort: 'minimal' } }, { reasoning: { effort: 'minimal' } }],
  [{ toolChoice: 'required' }, { tool_choice: 'required' }],
  [{ toolChoice: { tool: 'list' } }, { tool_choice: { type: 'function', name: 'list' } }],
  [{ parallelToolCalls: false }, { parallel_tool_calls: false }],
  [{ responseFormat: { type: 'text' } }, { text: { format: { type: 'text' } } }],
  [{ responseFormat: { type: 'json' } }, { text: { format: { type: 'json_object' } } }],
  [
    { responseFormat: { type: 'json-schema', name: 'n', schema, strict: true, description: 'd' } },
    { text: { format: { type: 'json_schema', name: 'n', schema, strict: true, description: 'd' } } },
  ],
  [{ thinking: { budgetTokens: 5_000 } }, { reasoning: { effort: 'medium' } }],
  [{ thinking: { budgetTokens: 0 } }, { reasoning: { effort: 'minimal' } }],
  [{ topK: 1, seed: 1, stopSequences: ['x'] }, {}],
])('the settings %j', (settings, expected) => {
  const {
    tools: _tools,
    model: _model,
    input: _input,
    stream: _stream,
    store: _store,
    include: _include,
    ...rest
  } = withSettings(settings);
  expect(rest).toEqual(expected);
});

test('a tool choice without tools is left out', () => {
  expect(bodyOf([], { settings: { toolChoice: 'none', parallelToolCalls: true } })).not.toHaveProperty('tool_choice');
});

test('a request of the same wire format is passed on with another model', () => {
  const body = { model: 'coppice/x', input: 'hi', store: true, tools: [{ type: 'custom', name: 'p' }], stream: true };
  const original = { wire: 'openai-responses', body, headers: { 'openai-beta': 'x' } } as const;
  expect(openAiResponses.passOn(original, 'gpt-5', true)).toEqual({ ...body, model: 'gpt-5' });
  const limited = openAiResponses.passOn({ ...original, maxOutputTokens: 300 }, 'gpt-5', true);
  expect(limited).toEqual({ ...body, model: 'gpt-5', max_output_tokens: 300 });
  expect(openAiResponses.headers(original)).toEqual({ 'openai-beta': 'x' });
});
