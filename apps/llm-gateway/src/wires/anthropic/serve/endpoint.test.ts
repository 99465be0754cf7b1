import { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { pack } from '../../../ingress/http/foreign-signature.ts';
import { requestParts, eventsOf, richAnswer, textAnswer, wholeOf } from '../../../ingress/http/test-support/answers.ts';
import { messagesEndpoint } from './endpoint.ts';

const hello = { model: 'acme/one', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] };
const parse = (body: object) => messagesEndpoint.parse(body, requestParts());

describe('a request', () => {
  test('is parsed with its conversation, tools and settings', () => {
    const { request, untranslatable } = parse({
      ...hello,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: 'Read it.' },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'own' },
            { type: 'redacted_thinking', data: 'hidden' },
            { type: 'text', text: 'Yes.' },
            { type: 'tool_use', id: 'toolu_1', name: 'read', input: { path: 'a' } },
          ],
        },
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 'toolu_1',
              is_error: true,
              content: [
                { type: 'text', text: 'no such file' },
                { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
              ],
            },
            { type: 'text', text: 'Go on.' },
          ],
        },
      ],
      tools: [
        { name: 'read', input_schema: { type: 'object' } },
        { type: 'web_search_20250305', name: 'web_search' },
      ],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
      thinking: { type: 'enabled', budget_tokens: 2_000 },
      stop_sequences: ['END'],
      context_management: { edits: [] },
    });
    expect(untranslatable).toEqual([]);
    expect(request.messages).toEqual([
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      { role: 'user', content: [{ type: 'text', text: 'Read it.' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', text: 'hm', redacted: false, signature: { wire: 'anthropic', value: 'own' } },
          { type: 'thinking', text: '', redacted: true, signature: { wire: 'anthropic', value: 'hidden' } },
          { type: 'text', text: 'Yes.' },
          { type: 'tool-call', id: 'toolu_1', name: 'read', arguments: '{"path":"a"}' },
        ],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            callId: 'toolu_1',
            name: 'read',
            content: 'no such file',
            images: [{ mediaType: 'image/png', base64: 'iVBORw0KGgo=' }],
            isError: true,
          },
        ],
      },
      { role: 'user', content: [{ type: 'text', text: 'Go on.' }] },
    ]);
    expect(request.tools).toEqual([{ name: 'read', description: '', parameters: { type: 'object' } }]);
    expect(request.settings).toEqual({
      maxOutputTokens: 100,
      stopSequences: ['END'],
      toolChoice: 'required',
      parallelToolCalls: false,
      thinking: { budgetTokens: 2_000 },
    });
    expect(request.original?.body).toMatchObject({ context_management: { edits: [] } });
  });

  test("keeps the texts of a tool's result separate", () => {
    const texts = ['bad', 'worse'].map((text) => ({ type: 'text', text }));
    const { request } = parse({
      ...hello,
      messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: texts }] }],
    });
    expect(request.messages[0]?.content).toMatchObject([{ content: 'bad\n\nworse' }]);
  });

  test('has the signatures of other wire formats at the parts to which they belong', () => {
    const ofThought = { wire: 'openai-responses', value: 'encrypted' };
    const ofCall = { wire: 'gemini', value: 'c2ln' };
    const { request } = parse({
      ...hello,
      messages: [
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: pack({ signature: ofThought }) },
            { type: 'redacted_thinking', data: pack({ signature: ofCall, callId: 'c1' }) },
            { type: 'tool_use', id: 'c1', name: 'read', input: {} },
          ],
        },
      ],
    });
    expect(request.messages[0]?.content).toEqual([
      { type: 'thinking', text: 'hm', redacted: false, signature: ofThought },
      { type: 'tool-call', id: 'c1', name: 'read', arguments: '{}', signature: ofCall },
    ]);
  });

  test("that is invalid is rejected in Anthropic's form, and the error names the field", () => {
    const refused = (body: object) => {
      try {
        parse(body);
        return null;
      } catch (error) {
        return messagesEndpoint.error(error as CoppiceError);
      }
    };
    expect(refused({ ...hello, max_tokens: undefined })).toMatchObject({
      status: 400,
      body: {
        type: 'error',
        error: { type: 'invalid_request_error', message: expect.stringMatching(/^max_tokens: expected/) as unknown },
      },
    });
    expect(refused({ ...hello, messages: [{ role: 'user' }] })?.body).toMatchObject({
      error: { message: expect.stringMatching(/^messages\.0\.content: /) as unknown },
    });
  });

  test('may have a tool without a name, for tools of a server that only Anthropic calls', () => {
    const { request, untranslatable } = parse({ ...hello, tools: [{ type: 'mcp_toolset', mcp_server_name: 'x' }] });
    expect(request.tools).toEqual([]);
    expect(untranslatable).toEqual([]);
  });

  test('has the fields that only this wire format knows reported', () => {
    const { untranslatable } = parse({
      ...hello,
      messages: [{ role: 'user', content: [{ type: 'document', source: {} }] }],
      mcp_servers: [{}],
    });
    expect(untranslatable.map(({ field }) => field)).toEqual(['mcp_servers', 'messages.0.content.0']);
  });
});

test('a stream has one block after another, with signatures, usage and stop reason', () => {
  const events = eventsOf(parse({ ...hello, stream: true }), richAnswer);
  const carried = pack({ signature: { wire: 'gemini', value: 'c2ln' } });
  expect(events).toEqual([
    {
      type: 'message_start',
      message: expect.objectContaining({ id: 'msg_a1', role: 'assistant', model: 'one-2026', content: [] }) as unknown,
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Let me ' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'see.' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: carried } },
    { type: 'content_block_stop', index: 0 },
    { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'I ' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'look.' } },
    { type: 'content_block_stop', index: 1 },
    { type: 'content_block_start', index: 2, content_block: { type: 'tool_use', id: 'c0', name: 'read', input: {} } },
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '{"path":' } },
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '"a.txt"}' } },
    { type: 'content_block_stop', index: 2 },
    { type: 'content_block_start', index: 3, content_block: { type: 'tool_use', id: 'c1', name: 'list', input: {} } },
    { type: 'content_block_delta', index: 3, delta: { type: 'input_json_delta', partial_json: '{}' } },
    { type: 'content_block_stop', index: 3 },
    {
      type: 'message_delta',
      delta: { stop_reason: 'tool_use', stop_sequence: null },
      usage: {
        input_tokens: 40,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 60,
        output_tokens: 20,
      },
    },
    { type: 'message_stop' },
  ]);
});

test("thinking without a signature is marked as another provider's, since Anthropic would reject it", () => {
  const answer = [
    { type: 'thinking-delta', block: 0, text: 'hm' },
    { type: 'response-end', finishReason: 'stop' },
  ] as const;
  const thought = { type: 'thinking', thinking: 'hm', signature: pack({}) };
  expect(wholeOf(parse(hello), answer)).toMatchObject({ content: [thought] });
  expect(eventsOf(parse({ ...hello, stream: true }), answer)).toContainEqual(
    expect.objectContaining({ delta: { type: 'signature_delta', signature: pack({}) } }),
  );
  const { request } = parse({ ...hello, messages: [{ role: 'assistant', content: [thought] }] });
  expect(request.messages[0]?.content).toEqual([{ type: 'thinking', text: 'hm', redacted: false }]);
});

test('the signature of a tool call is in a redacted block before it', () => {
  const signature = { wire: 'gemini', value: 'c2ln' };
  const answer = [
    { type: 'tool-call-delta', call: 0, id: 'c0', name: 'read', arguments: '{}', signature },
    { type: 'response-end', finishReason: 'stop' },
  ] as const;
  const hidden = { type: 'redacted_thinking', data: pack({ signature, callId: 'c0' }) };
  const call = { type: 'tool_use', id: 'c0', name: 'read', input: {} };
  expect(wholeOf(parse(hello), answer)).toMatchObject({ content: [hidden, call], stop_reason: 'tool_use' });
  expect(eventsOf(parse({ ...hello, stream: true }), answer).slice(1, 4)).toEqual([
    { type: 'content_block_start', index: 0, content_block: hidden },
    { type: 'content_block_stop', index: 0 },
    { type: 'content_block_start', index: 1, content_block: call },
  ]);
});

test('arguments that are not an object are put into one', () => {
  const answer = [
    { type: 'tool-call-delta', call: 0, id: 'c0', name: 'read', arguments: '{"path":' },
    { type: 'response-end', finishReason: 'length' },
  ] as const;
  expect(wholeOf(parse(hello), answer)).toMatchObject({
    content: [{ type: 'tool_use', input: { malformedArguments: '{"path":' } }],
    stop_reason: 'max_tokens',
  });
});

test('an unstreamed answer has text, stop reason and usage', () => {
  expect(wholeOf(parse(hello), textAnswer('hi'))).toMatchObject({
    type: 'message',
    content: [{ type: 'text', text: 'hi' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 11, output_tokens: 3 },
  });
});

test("errors have Anthropic's form and status", () => {
  const statusAndType = (error: CoppiceError) => {
    const { status, body } = messagesEndpoint.error(error);
    return [status, (body as { error: { type: string } }).error.type];
  };
  expect(statusAndType(new CoppiceError('permission-denied', 'x', { details: { httpStatus: 401 } }))).toEqual([
    401,
    'authentication_error',
  ]);
  expect(statusAndType(new CoppiceError('unavailable', 'x'))).toEqual([529, 'overloaded_error']);
  expect(statusAndType(new CoppiceError('provider-failed', 'x', { details: { status: 529 } }))).toEqual([
    529,
    'overloaded_error',
  ]);
  expect(statusAndType(new CoppiceError('provider-limited', 'x'))).toEqual([429, 'rate_limit_error']);
  expect(statusAndType(new CoppiceError('internal', 'x'))).toEqual([500, 'api_error']);
});
