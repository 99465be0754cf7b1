import { expect, test } from 'vitest';
import type { ModelRequest, ProviderMessage } from '../port.ts';
import { requestBody } from './request.ts';

const bodyOf = (messages: ProviderMessage[], tools: ModelRequest['tools'] = []) =>
  requestBody({ model: 'gpt-x', messages, tools, settings: {} }, true) as { messages: unknown[]; tools?: unknown[] };
const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const result = (callId: string, content: string, isError = false) => ({
  type: 'tool-result' as const,
  callId,
  name: 'run',
  content,
  isError,
});

test('a request streams, asks for usage, and names tools only where there are some', () => {
  expect(bodyOf([{ role: 'user', content: [text('a'), text('b')] }])).toEqual({
    model: 'gpt-x',
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: 'ab' }],
  });
  const parameters = { type: 'object', properties: {} };
  expect(bodyOf([], [{ name: 'list', description: 'Lists.', parameters }]).tools).toEqual([
    { type: 'function', function: { name: 'list', description: 'Lists.', parameters } },
  ]);
});

test('a conversation with tool calls and their results', () => {
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
])('the name %j of an earlier call goes back as %s: servers refuse others', (made, sent) => {
  const { messages } = bodyOf([{ role: 'assistant', content: [call('a', made, '{}')] }]);
  expect(messages).toMatchObject([{ tool_calls: [{ function: { name: sent } }] }]);
});

test.each([
  ['{"command": ', '{"malformedArguments":"{\\"command\\": "}'],
  ['[1]', '{"malformedArguments":"[1]"}'],
  ['"x"', '{"malformedArguments":"\\"x\\""}'],
  ['', '{}'],
  [' {"a":1} ', ' {"a":1} '],
])('arguments %j go back as %s: a server parses them again', (written, sent) => {
  const { messages } = bodyOf([{ role: 'assistant', content: [call('a', 'run', written)] }]);
  expect(messages).toMatchObject([{ tool_calls: [{ function: { arguments: sent } }] }]);
});
