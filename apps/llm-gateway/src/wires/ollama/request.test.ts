import type { ModelSettings } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ProviderMessage } from '../../provider/port.ts';
import { requestBody } from './request.ts';

const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const result = (callId: string, content: string, isError = false) => ({
  type: 'tool-result' as const,
  callId,
  name: 'run',
  content,
  isError,
});
const list = { name: 'list', description: 'Lists.', parameters: { type: 'object' } };
const run = { ...list, name: 'run' };

const bodyOf = (messages: ProviderMessage[], settings: ModelSettings = {}, tools = [list, run]) =>
  requestBody({ model: 'qwen3', messages, tools, settings }, true) as Record<string, unknown>;

test('a request makes a conversation that is too long an error, instead of cutting it silently', () => {
  expect(bodyOf([{ role: 'user', content: [text('a'), text('b')] }], {}, [])).toEqual({
    model: 'qwen3',
    stream: true,
    truncate: false,
    shift: false,
    messages: [{ role: 'user', content: 'a\n\nb' }],
  });
  expect(bodyOf([])).toMatchObject({ tools: [{ type: 'function', function: list }, { function: run }] });
  expect(requestBody({ model: 'm', messages: [], tools: [], settings: {} }, false)).toMatchObject({ stream: false });
});

test('a conversation has tool calls and their results by id and by name', () => {
  const { messages } = bodyOf([
    { role: 'system', content: [text('You code.')] },
    { role: 'user', content: [text('Fix it.')] },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', text: 'hm', redacted: false },
        { type: 'thinking', text: 'of another', redacted: false, signature: { wire: 'anthropic', value: 's' } },
        text('I look.'),
        call('a', 'run', '{"command":"ls"}'),
        call('b', 'list', ''),
        call('c', 'run', '{"command":'),
      ],
    },
    { role: 'tool', content: [result('a', 'x.txt'), result('b', 'no such folder', true)] },
    { role: 'assistant', content: [] },
  ]);
  expect(messages).toEqual([
    { role: 'system', content: 'You code.' },
    { role: 'user', content: 'Fix it.' },
    {
      role: 'assistant',
      content: 'I look.',
      thinking: 'hm',
      tool_calls: [
        { id: 'a', function: { name: 'run', arguments: { command: 'ls' } } },
        { id: 'b', function: { name: 'list', arguments: {} } },
        { id: 'c', function: { name: 'run', arguments: { malformedArguments: '{"command":' } } },
      ],
    },
    { role: 'tool', content: 'x.txt', tool_name: 'run', tool_call_id: 'a' },
    { role: 'tool', content: 'Error: no such folder', tool_name: 'run', tool_call_id: 'b' },
    { role: 'assistant', content: '' },
  ]);
});

test('texts are separated by a blank line, and the texts of an answer are joined', () => {
  const { messages } = bodyOf([
    { role: 'system', content: [text('You are A.'), text('Be B.')] },
    { role: 'assistant', content: [{ ...text('one '), signature: { wire: 'gemini', value: 's' } }, text('text')] },
  ]);
  expect(messages).toEqual([
    { role: 'system', content: 'You are A.\n\nBe B.' },
    { role: 'assistant', content: 'one text' },
  ]);
});

test('images are sent inline, those of a result after it, and the error for a URL states what was expected', () => {
  const png = { mediaType: 'image/png', base64: 'aGk=' };
  const { messages } = bodyOf([
    { role: 'user', content: [text('See.'), { type: 'image', image: png }] },
    { role: 'tool', content: [{ ...result('a', 'A picture.'), images: [png] }] },
  ]);
  expect(messages).toMatchObject([
    { role: 'user', content: 'See.', images: ['aGk='] },
    { role: 'tool', content: 'A picture.' },
    { role: 'user', content: '', images: ['aGk='] },
  ]);
  const remote = { type: 'image' as const, image: { url: 'https://images.example/a.png' } };
  expect(() => bodyOf([{ role: 'user', content: [remote] }])).toThrow(
    expect.objectContaining({ code: 'invalid-request', message: expect.stringMatching(/expected base64.*a\.png/) }),
  );
});

test.each<[ModelSettings, object]>([
  [
    { maxOutputTokens: 7, temperature: 0.5, topP: 0.9, topK: 40, seed: 1, stopSequences: ['END'] },
    { options: { num_predict: 7, temperature: 0.5, top_p: 0.9, top_k: 40, seed: 1, stop: ['END'] } },
  ],
  [{ responseFormat: { type: 'json' } }, { format: 'json' }],
  [{ responseFormat: { type: 'json-schema', name: 'n', schema: { type: 'object' } } }, { format: { type: 'object' } }],
  [{ thinking: { effort: 'none' } }, { think: false }],
  [{ thinking: { effort: 'minimal' } }, { think: 'low' }],
  [{ thinking: { effort: 'high' } }, { think: 'high' }],
  [{ thinking: { budgetTokens: 0 } }, { think: false }],
  [{ thinking: { budgetTokens: 9 } }, { think: true }],
  [{ toolChoice: { tool: 'run' } }, { tools: [{ function: run }] }],
  [{ toolChoice: 'auto' }, { tools: [{ function: list }, { function: run }] }],
])('settings %j are sent as %j', (settings, expected) => {
  expect(bodyOf([], settings)).toMatchObject(expected);
});

test('a model that may call no tool gets none, and settings that are not set are not sent', () => {
  expect(bodyOf([], { toolChoice: 'none' })).not.toHaveProperty('tools');
  for (const field of ['options', 'format', 'think']) {
    expect(bodyOf([], { responseFormat: { type: 'text' } })).not.toHaveProperty(field);
  }
});
