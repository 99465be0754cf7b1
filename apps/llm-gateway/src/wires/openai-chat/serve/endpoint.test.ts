import { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { ChatAnswerReader } from '../response.ts';
import { EventReader } from '../../../transport/event-reader.ts';
import type { ModelDelta } from '../../../provider/port.ts';
import {
  about,
  requestParts,
  eventsOf,
  richAnswer,
  streamOf,
  textAnswer,
  wholeOf,
} from '../../../ingress/http/test-support/answers.ts';
import { chatEndpoint } from './endpoint.ts';

const hello = { model: 'acme/one', messages: [{ role: 'user', content: 'hello' }] };
const parse = (body: object) => chatEndpoint.parse(body, requestParts());
const image = 'data:image/png;base64,iVBORw0KGgo=';

describe('a request', () => {
  test('is parsed with its conversation, tools and settings', () => {
    const { model, stream, request, untranslatable } = parse({
      model: 'acme/one',
      stream: true,
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'See' },
            { type: 'image_url', image_url: { url: image } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          reasoning_content: 'hm',
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'read', arguments: '{"a":1}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'text' },
      ],
      tools: [{ type: 'function', function: { name: 'read', description: 'Reads.', parameters: { type: 'object' } } }],
      tool_choice: { type: 'function', function: { name: 'read' } },
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' }, strict: true } },
      max_completion_tokens: 100,
      temperature: 0.5,
      stop: 'END',
      reasoning_effort: 'low',
      parallel_tool_calls: false,
      metadata: { unknown: 'here' },
    });
    expect({ model, stream, untranslatable }).toEqual({ model: 'acme/one', stream: true, untranslatable: [] });
    expect(request.messages).toEqual([
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'See' },
          { type: 'image', image: { mediaType: 'image/png', base64: 'iVBORw0KGgo=' } },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', text: 'hm', redacted: false },
          { type: 'tool-call', id: 'c1', name: 'read', arguments: '{"a":1}' },
        ],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', callId: 'c1', name: 'read', content: 'text', isError: false }],
      },
    ]);
    expect(request.tools).toEqual([{ name: 'read', description: 'Reads.', parameters: { type: 'object' } }]);
    expect(request.settings).toEqual({
      maxOutputTokens: 100,
      temperature: 0.5,
      stopSequences: ['END'],
      toolChoice: { tool: 'read' },
      parallelToolCalls: false,
      responseFormat: { type: 'json-schema', name: 'x', schema: { type: 'object' }, strict: true },
      thinking: { effort: 'low' },
    });
    expect(request.original?.body).toMatchObject({ metadata: { unknown: 'here' }, temperature: 0.5 });
  });

  test("keeps the texts of a tool's result separate", () => {
    const texts = ['bad', 'worse'].map((text) => ({ type: 'text', text }));
    const { request } = parse({ ...hello, messages: [{ role: 'tool', tool_call_id: 'c', content: texts }] });
    expect(request.messages[0]?.content).toMatchObject([{ content: 'bad\n\nworse' }]);
  });

  test("keeps the images of a tool's result, which servers of this wire format accept", () => {
    const content = [
      { type: 'text', text: 'seen' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
    ];
    const { request } = parse({ ...hello, messages: [{ role: 'tool', tool_call_id: 'c', content }] });
    const shown = { mediaType: 'image/png', base64: 'iVBORw0KGgo=' };
    expect(request.messages[0]?.content).toMatchObject([{ content: 'seen', images: [shown] }]);
  });

  test("that is invalid is rejected in OpenAI's form, and the error names the field", () => {
    const refused = (body: object) => {
      try {
        parse(body);
        return null;
      } catch (error) {
        return chatEndpoint.error(error as CoppiceError);
      }
    };
    expect(refused({ messages: [] })).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error', param: 'model' } },
    });
    expect(refused({ ...hello, temperature: 'hot' })).toMatchObject({
      status: 400,
      body: { error: { param: 'temperature', message: expect.stringContaining('expected number') as unknown } },
    });
    expect(refused({ ...hello, messages: [{ content: 'x' }] })).toMatchObject({
      body: { error: { param: 'messages[0].role' } },
    });
  });

  test('for more than one answer is rejected for every provider', () => {
    expect(() => parse({ ...hello, n: 2 })).toThrow('n: expected 1, received 2');
    expect(() => parse({ ...hello, n: 1, n_cmpl: 2 })).toThrow('n_cmpl: expected 1, received 2');
  });

  test.each([
    { max_completion_tokens: 1, max_tokens: 100_000 },
    { max_tokens: 1, n_predict: 100_000 },
    { n_predict: 100_000 },
  ])('with several output limits may use the largest: %j', (maximums) => {
    const { request } = parse({ ...hello, ...maximums });
    expect(request.settings.maxOutputTokens).toBe(100_000);
  });

  test.each([{ max_tokens: -1 }, { max_tokens: 1, n_predict: -1 }])('has no output limit with %j', (maximums) => {
    expect(parse({ ...hello, ...maximums }).request.settings).not.toHaveProperty('maxOutputTokens');
  });

  test('has the fields that only this wire format knows reported', () => {
    const { untranslatable } = parse({
      ...hello,
      logprobs: true,
      messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }],
    });
    expect(untranslatable.map(({ field }) => field)).toEqual(['logprobs', 'messages[0].content[0]']);
  });
});

describe('an answer', () => {
  test('is written so that reading it gives the same answer', () => {
    const reader = new ChatAnswerReader({ provider: 'acme', secret: null });
    const events = new EventReader(1_000_000);
    const bytes = new TextEncoder().encode(
      streamOf(parse({ ...hello, stream: true, stream_options: { include_usage: true } }), richAnswer),
    );
    const read: ModelDelta[] = [...events.read(bytes), ...events.end()].flatMap((event) => reader.event(event));
    read.push(...reader.end());
    const only = <Type extends ModelDelta['type']>(type: Type) =>
      read.filter((delta): delta is Extract<ModelDelta, { type: Type }> => delta.type === type);
    expect(only('thinking-delta').map(({ text }) => text)).toEqual(['Let me ', 'see.']);
    expect(only('text-delta').map(({ text }) => text)).toEqual(['I ', 'look.']);
    const calls = only('tool-call-delta');
    const argumentsOf = (call: number) => calls.filter((delta) => delta.call === call).map((delta) => delta.arguments);
    expect([argumentsOf(0).join(''), argumentsOf(1).join('')]).toEqual(['{"path":"a.txt"}', '{}']);
    expect(calls.map(({ id }) => id).filter((id) => id !== undefined)).toEqual(['c0', 'c1']);
    expect(only('usage').at(-1)?.usage).toMatchObject({
      inputTokens: 100,
      outputTokens: 20,
      cachedInputTokens: 60,
      reasoningTokens: 8,
    });
    expect(only('response-end')).toMatchObject([{ finishReason: 'tool-calls' }]);
  });

  test('without streaming has the same content', () => {
    expect(wholeOf(parse(hello), richAnswer)).toMatchObject({
      id: 'chatcmpl-a1',
      object: 'chat.completion',
      model: 'one-2026',
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            role: 'assistant',
            content: 'I look.',
            reasoning_content: 'Let me see.',
            tool_calls: [
              { id: 'c0', type: 'function', function: { name: 'read', arguments: '{"path":"a.txt"}' } },
              { id: 'c1', type: 'function', function: { name: 'list', arguments: '{}' } },
            ],
          },
        },
      ],
      usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
    });
  });

  test('has the usage for clients that request it, at the end and without a choice', () => {
    const stream = { ...hello, stream: true };
    const without = eventsOf(parse(stream), textAnswer('hi'));
    expect(JSON.stringify(without)).not.toContain('usage');
    const withUsage = eventsOf(parse({ ...stream, stream_options: { include_usage: true } }), textAnswer('hi'));
    expect(withUsage.slice(-2)).toMatchObject([{ choices: [], usage: { total_tokens: 14 } }, '[DONE]']);
  });

  test("of the same wire format is passed on without the usage if the client didn't request it", () => {
    const writer = parse({ ...hello, stream: true }).writer(about);
    const frame = (value: object) => ({ name: null, data: JSON.stringify(value) });
    const piece = frame({ choices: [{ delta: { content: 'the "usage" of words' } }], unknown: 1 });
    expect(writer.passOn?.(piece)).toBe(piece);
    expect(writer.passOn?.(frame({ choices: [], usage: { total_tokens: 3 } }))).toBeNull();
    expect(writer.passedOn?.()).toEqual([{ name: null, data: '[DONE]' }]);
    writer.passOn?.({ name: null, data: '[DONE]' });
    expect(writer.passedOn?.()).toEqual([]);
  });
});

test("errors have OpenAI's form and status", () => {
  const errorFor = (error: CoppiceError) => chatEndpoint.error(error);
  expect(errorFor(new CoppiceError('model-not-found', 'no such model'))).toMatchObject({
    status: 404,
    body: { error: { code: 'model_not_found' } },
  });
  const limited = errorFor(new CoppiceError('provider-limited', 'slow down', { details: { retryAfterMs: 1_500 } }));
  expect(limited).toMatchObject({
    status: 429,
    headers: { 'retry-after': '2', 'retry-after-ms': '1500' },
    body: { error: { code: 'rate_limit_exceeded' } },
  });
  // The provider rejected the gateway's key. The client's own token is valid, so the status isn't 401.
  expect(errorFor(new CoppiceError('provider-failed', 'key refused', { details: { status: 401 } }))).toMatchObject({
    status: 502,
    headers: { 'x-should-retry': 'false' },
  });
  expect(errorFor(new CoppiceError('context-exceeded', 'too long')).body).toMatchObject({
    error: { code: 'context_length_exceeded', type: 'invalid_request_error' },
  });
});
