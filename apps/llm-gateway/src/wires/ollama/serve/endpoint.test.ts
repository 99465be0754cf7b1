import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { asked, eventsOf, richAnswer, streamOf, wholeOf } from '../../../ingress/http/test-support/answers.ts';
import { ollamaEndpoint } from './endpoint.ts';

const hello = { model: 'acme/one', messages: [{ role: 'user', content: 'hello' }] };
const parse = (body: object) => ollamaEndpoint.parse(body, asked());

test('a request is read with its conversation, tools and settings', () => {
  const { stream, request } = parse({
    ...hello,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'See', images: ['/9j/4AAQ'] },
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'read', arguments: { path: 'a' } } }] },
      { role: 'tool', content: 'text', tool_name: 'read' },
    ],
    tools: [{ type: 'function', function: { name: 'read', description: 'Reads.', parameters: { type: 'object' } } }],
    format: { type: 'object' },
    options: { num_predict: 100, temperature: 0.5, top_k: 40, seed: 1, stop: ['END'], num_ctx: 8_192 },
    think: false,
  });
  expect(stream).toBe(true);
  expect(request.messages).toEqual([
    { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'See' },
        { type: 'image', image: { mediaType: 'image/jpeg', base64: '/9j/4AAQ' } },
      ],
    },
    {
      role: 'assistant',
      content: [{ type: 'tool-call', id: '000000001', name: 'read', arguments: '{"path":"a"}' }],
    },
    {
      role: 'tool',
      content: [{ type: 'tool-result', callId: '000000001', name: 'read', content: 'text', isError: false }],
    },
  ]);
  expect(request.settings).toEqual({
    maxOutputTokens: 100,
    temperature: 0.5,
    topK: 40,
    seed: 1,
    stopSequences: ['END'],
    responseFormat: { type: 'json-schema', name: 'answer', schema: { type: 'object' } },
    thinking: { effort: 'none' },
  });
});

test.each([
  [true, { effort: 'medium' }],
  [false, { effort: 'none' }],
  ['high', { effort: 'high' }],
])('think: %j is %j', (think, thinking) => {
  expect(parse({ ...hello, think }).request.settings).toEqual({ thinking });
});

test('a stream is a line for each piece, whole calls, and a last line with the counts', () => {
  const events = eventsOf(parse(hello), richAnswer);
  expect(events).toMatchObject([
    { message: { role: 'assistant', content: '', thinking: 'Let me ' }, done: false },
    { message: { thinking: 'see.' }, done: false },
    { message: { content: 'I ' }, done: false },
    { message: { content: 'look.' }, done: false },
    {
      message: {
        tool_calls: [
          { function: { name: 'read', arguments: { path: 'a.txt' } } },
          { function: { name: 'list', arguments: {} } },
        ],
      },
      done: false,
    },
    { done: true, done_reason: 'stop', prompt_eval_count: 100, eval_count: 20 },
  ]);
  expect(streamOf(parse(hello), richAnswer).trimEnd().split('\n')).toHaveLength(events.length);
});

test('a whole answer has all of it', () => {
  expect(wholeOf(parse({ ...hello, stream: false }), richAnswer)).toMatchObject({
    model: 'acme/one',
    message: { role: 'assistant', content: 'I look.', thinking: 'Let me see.' },
    done: true,
  });
});

test('an error is a sentence', () => {
  expect(ollamaEndpoint.error(new CoppiceError('model-not-found', 'no such model'))).toMatchObject({
    status: 404,
    body: { error: 'no such model' },
  });
});
