import { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { signatureOf } from '../reasoning.ts';
import { answerText } from '../../texts.ts';
import { pack } from '../../../ingress/http/foreign-signature.ts';
import {
  about,
  requestParts,
  eventsOf,
  richAnswer,
  textAnswer,
  wholeOf,
} from '../../../ingress/http/test-support/answers.ts';
import { responsesEndpoint } from './endpoint.ts';

const hello = { model: 'acme/one', input: 'hello' };
const parse = (body: object) => responsesEndpoint.parse(body, requestParts());
const custom = { type: 'custom', name: 'apply_patch', description: 'Patches.' };

describe('a request', () => {
  test('is parsed with its items, tools and settings', () => {
    const { request, untranslatable } = parse({
      ...hello,
      instructions: 'Be brief.',
      input: [
        { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Rules.' }] },
        { role: 'user', content: 'Read it.' },
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'own' },
        { type: 'function_call', call_id: 'c1', name: 'read', arguments: '{"a":1}' },
        { type: 'custom_tool_call', call_id: 'c2', name: 'apply_patch', input: '*** Begin' },
        { type: 'function_call_output', call_id: 'c1', output: 'text' },
        { type: 'custom_tool_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'done' }] },
      ],
      tools: [
        { type: 'function', name: 'read', description: 'Reads.', parameters: { type: 'object' }, strict: false },
        { ...custom, format: { type: 'grammar', syntax: 'lark', definition: 'start: x' } },
        { type: 'web_search' },
      ],
      tool_choice: 'auto',
      reasoning: { effort: 'high', summary: 'auto' },
      text: { format: { type: 'json_schema', name: 'x', schema: { type: 'object' } } },
      max_output_tokens: 50,
      include: ['reasoning.encrypted_content'],
    });
    expect(untranslatable).toEqual([]);
    expect(request.messages).toEqual([
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      { role: 'system', content: [{ type: 'text', text: 'Rules.' }] },
      { role: 'user', content: [{ type: 'text', text: 'Read it.' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', text: 'hm', redacted: false, signature: signatureOf('rs_1', 'own') },
          { type: 'tool-call', id: 'c1', name: 'read', arguments: '{"a":1}' },
          { type: 'tool-call', id: 'c2', name: 'apply_patch', arguments: '{"input":"*** Begin"}' },
        ],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', callId: 'c1', name: 'read', content: 'text', isError: false }],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', callId: 'c2', name: 'apply_patch', content: 'done', isError: false }],
      },
    ]);
    expect(request.tools.map(({ name }) => name)).toEqual(['read', 'apply_patch']);
    expect(request.tools[1]?.description).toContain('start: x');
    expect(request.settings).toEqual({
      maxOutputTokens: 50,
      toolChoice: 'auto',
      responseFormat: { type: 'json-schema', name: 'x', schema: { type: 'object' } },
      thinking: { effort: 'high' },
    });
  });

  test("keeps the texts of a tool's output separate", () => {
    const output = ['bad', 'worse'].map((text) => ({ type: 'input_text', text }));
    const { request } = parse({ ...hello, input: [{ type: 'function_call_output', call_id: 'c', output }] });
    expect(request.messages[0]?.content).toMatchObject([{ content: 'bad\n\nworse' }]);
  });

  test.each(['max_completion_tokens', 'max_tokens', 'n_predict'])(
    'may use the limit in %s, which llama.cpp applies',
    (name) => {
      const { request } = parse({ ...hello, max_output_tokens: 1, [name]: 100_000 });
      expect(request.settings.maxOutputTokens).toBe(100_000);
    },
  );

  test.each(['n', 'n_cmpl'])('for more than one answer by %s is rejected for every provider', (name) => {
    expect(() => parse({ ...hello, [name]: 2 })).toThrow(`${name}: expected 1, received 2`);
  });

  test('leaves out a tool that OpenAI ran if its item has no results, since the answer contains them', () => {
    const said = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'It rains.' }] };
    const { request, untranslatable } = parse({
      ...hello,
      input: [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }, said],
      tools: [{ type: 'web_search' }],
    });
    expect(untranslatable).toEqual([]);
    expect(request.messages).toMatchObject([{ role: 'assistant', content: [{ text: 'It rains.' }] }]);
    expect(request.tools).toEqual([]);
  });

  const save = { type: 'function_call', call_id: 'c', name: 'save', arguments: '{}' };
  const saved = { type: 'function_call_output', call_id: 'c', output: 'ok' };
  test.each([
    [{ type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'rain' } }, null],
    [
      { type: 'file_search_call', queries: ['x'], results: [{ filename: 'a.md', text: 'one' }, { text: 'two' }] },
      'file_search returned:\none\n\ntwo',
    ],
    [{ type: 'file_search_call', queries: ['x'], results: null }, null],
    [
      { type: 'code_interpreter_call', code: '6 * 7', outputs: [{ type: 'logs', logs: '42\n' }, { type: 'image' }] },
      'code_interpreter returned:\n42',
    ],
    [
      { type: 'mcp_call', name: 'look up', arguments: '{}', output: 'the secret number is 42', error: null },
      'look_up returned:\nthe secret number is 42',
    ],
    [
      { type: 'mcp_call', name: 'find', error: { type: 'http_error', code: 503, message: 'it is away' } },
      'find failed:\nit is away',
    ],
    [{ type: 'mcp_list_tools', server_label: 'x', tools: [{ name: 'find', description: 'Finds.' }] }, null],
  ])('converts the results of a tool that OpenAI ran in the middle of an answer to text: %j', (item, text) => {
    const { request, untranslatable } = parse({
      ...hello,
      input: [{ role: 'user', content: 'go' }, item, save, saved],
    });
    expect(untranslatable).toEqual([]);
    const call = { type: 'tool-call', id: 'c', name: 'save', arguments: '{}' };
    expect(request.messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: text === null ? [call] : [{ type: 'text', text }, call] },
      { role: 'tool' },
    ]);
  });

  test("separates the results of such a tool from the model's text", () => {
    const said = (text: string) => ({ role: 'assistant', content: [{ type: 'output_text', text }] });
    const found = (output: string) => ({ type: 'mcp_call', name: 'find', output });
    const input = [said('I look.'), said(' Now.'), found('a'), save, found('b'), said('It is b.'), said(' Surely.')];
    const [answer] = parse({ ...hello, input }).request.messages;
    expect(answerText(answer?.content ?? [])).toBe(
      'I look. Now.\n\nfind returned:\na\n\nfind returned:\nb\n\nIt is b. Surely.',
    );
  });

  test.each([[[]], [[{ type: 'web_search_call' }]]])('is rejected if no message remains of %j', (input) => {
    const { untranslatable } = parse({ ...hello, input });
    expect(untranslatable).toMatchObject([{ field: 'input', received: JSON.stringify(input) }]);
    expect(parse({ ...hello, input, instructions: 'Go.' }).untranslatable).toEqual([]);
  });

  test('has the fields reported that reference data or items which only OpenAI stores', () => {
    const { untranslatable } = parse({
      ...hello,
      input: [{ type: 'computer_call', call_id: 'c' }],
      previous_response_id: 'resp_1',
    });
    expect(untranslatable.map(({ field }) => field)).toEqual(['previous_response_id', 'input[0]']);
    const fieldsOf = (body: object) => parse({ ...hello, ...body }).untranslatable.map(({ field }) => field);
    expect(fieldsOf({ input: undefined, prompt: { id: 'pmpt_1' } })).toEqual(['prompt', 'input']);
    expect(fieldsOf({ include: ['message.output_text.logprobs'] })).toEqual(['include']);
    expect(fieldsOf({ top_logprobs: 2 })).toEqual(['top_logprobs']);
    expect(fieldsOf({ include: ['reasoning.encrypted_content'] })).toEqual([]);
  });

  test('that references an item only by id is rejected, and the error states what to do', () => {
    const { untranslatable } = parse({ ...hello, input: [{ type: 'item_reference', id: 'msg_1' }] });
    expect(untranslatable).toMatchObject([{ field: 'input[0]', expected: expect.stringContaining('store: false') }]);
  });

  test('that is invalid is rejected, and the error names the field', () => {
    let error: unknown;
    try {
      parse({ ...hello, input: 5 });
    } catch (thrown) {
      error = thrown;
    }
    expect(responsesEndpoint.error(error as CoppiceError)).toMatchObject({
      status: 400,
      body: { error: { param: 'input', message: 'the request: input: expected string or array, received 5' } },
    });
  });
});

test('the field that a provider of this wire format names is reported, but not the field from another wire format', () => {
  const errorBody = (wire: string) => {
    const providerNames = { wire, param: 'text.format', code: 'unsupported_value' };
    return responsesEndpoint.error(new CoppiceError('invalid-request', 'no', { details: { providerNames } })).body;
  };
  expect(errorBody('openai-responses')).toMatchObject({ error: { param: 'text.format', code: 'unsupported_value' } });
  expect(errorBody('openai-chat')).toMatchObject({ error: { param: null, code: null } });
});

type Event = { type: string; sequence_number: number } & Record<string, unknown>;

test('a stream has one item after another, with numbered events', () => {
  const events = eventsOf(parse({ ...hello, stream: true }), richAnswer) as Event[];
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    'created',
    'in_progress',
    'output_item.added',
    'reasoning_summary_part.added',
    'reasoning_summary_text.delta',
    'reasoning_summary_text.delta',
    'reasoning_summary_text.done',
    'reasoning_summary_part.done',
    'output_item.done',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'completed',
  ]);
  const done = events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
  expect(done).toMatchObject([
    {
      type: 'reasoning',
      summary: [{ text: 'Let me see.' }],
      encrypted_content: pack({ signature: { wire: 'gemini', value: 'c2ln' } }),
    },
    { type: 'message', content: [{ type: 'output_text', text: 'I look.' }] },
    { type: 'function_call', call_id: 'c0', name: 'read', arguments: '{"path":"a.txt"}' },
    { type: 'function_call', call_id: 'c1', name: 'list', arguments: '{}' },
  ]);
  expect(events.at(-1)).toMatchObject({
    response: {
      status: 'completed',
      output: done,
      usage: {
        input_tokens: 100,
        input_tokens_details: { cached_tokens: 60 },
        output_tokens: 20,
        output_tokens_details: { reasoning_tokens: 8 },
        total_tokens: 120,
      },
    },
  });
  expect(wholeOf(parse(hello), richAnswer)).toEqual((events.at(-1) as Event)['response']);
});

test("reasoning without a signature is marked as another provider's, since OpenAI would look it up", () => {
  const answer = [
    { type: 'thinking-delta', block: 0, text: 'hm' },
    { type: 'response-end', finishReason: 'stop' },
  ] as const;
  const thought = { type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: pack({}) };
  expect(wholeOf(parse(hello), answer)).toMatchObject({ output: [thought] });
  const { request } = parse({ ...hello, input: [thought] });
  expect(request.messages[0]?.content).toEqual([{ type: 'thinking', text: 'hm', redacted: false }]);
});

test('a call of a custom tool has the text without the JSON around it', () => {
  const answer = [
    { type: 'tool-call-delta', call: 0, id: 'c0', name: 'apply_patch', arguments: '{"input":"***' },
    { type: 'tool-call-delta', call: 0, arguments: ' Begin"}' },
    { type: 'response-end', finishReason: 'tool-calls' },
  ] as const;
  const events = eventsOf(parse({ ...hello, stream: true, tools: [custom] }), answer) as Event[];
  const item = { type: 'custom_tool_call', call_id: 'c0', name: 'apply_patch', input: '*** Begin' };
  expect(events.filter(({ type }) => type.includes('custom'))).toMatchObject([
    { type: 'response.custom_tool_call_input.delta', delta: '*** Begin' },
    { type: 'response.custom_tool_call_input.done', input: '*** Begin' },
  ]);
  expect(events.at(-1)).toMatchObject({ response: { output: [item] } });
});

test('an answer that ended at a limit is incomplete', () => {
  const [start, text, usage] = textAnswer('hi');
  const answer = [start, text, usage].filter((delta) => delta !== undefined);
  const events = eventsOf(parse({ ...hello, stream: true }), [
    ...answer,
    { type: 'response-end', finishReason: 'length' },
  ]) as Event[];
  expect(events.at(-1)).toMatchObject({
    type: 'response.incomplete',
    response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
  });
});

test('an error in the middle of a stream is reported, without the events of a complete answer', () => {
  const writer = parse({ ...hello, stream: true }).writer(about);
  writer.delta({ type: 'text-delta', text: 'half' });
  const events = writer.fail(new CoppiceError('provider-failed', 'cut')).map(({ data }) => JSON.parse(data) as Event);
  expect(events).toMatchObject([
    { type: 'error', code: 'server_error', message: 'cut' },
    { type: 'response.failed', response: { status: 'failed', error: { message: 'cut' } } },
  ]);
});

test.each([true, 'yes'])('a background answer is rejected: %j', (background) => {
  expect(() => parse({ ...hello, background })).toThrow('background: expected false');
});
