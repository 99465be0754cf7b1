import { expect, test } from 'vitest';
import { recorded, replay, replayEveryWay, replayWhole } from '../../test-support/replay.ts';
import { gatewayLimits } from '../../limits.ts';
import { openAiResponses } from './wire.ts';

const play = async (name: string) => replayEveryWay(openAiResponses, await recorded(import.meta.url, name));
const bytesOf = (events: readonly (object | string)[]): Uint8Array =>
  new TextEncoder().encode(
    events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join(''),
  );
const answerOf = (...events: (object | string)[]) => replay(openAiResponses, [bytesOf(events)]);

const created = { type: 'response.created', response: { id: 'resp_1', model: 'gpt-x', status: 'in_progress' } };
const completed = { type: 'response.completed', response: { id: 'resp_1', status: 'completed', output: [] } };
const says = (delta: string, at: object = { output_index: 0 }) => ({
  type: 'response.output_text.delta',
  content_index: 0,
  delta,
  ...at,
});

test('a text, its usage, and the model that answered are read', async () => {
  expect(await play('text.sse')).toEqual({
    status: 'complete',
    text: 'Grüße, 你好 👩‍💻!',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: 'completed',
    responseModel: 'gpt-5-2025-08-07',
    responseId: 'resp_0a1b2c3d',
    // The input count includes cached tokens, and the output count includes reasoning.
    usage: { inputTokens: 100, outputTokens: 30, cachedInputTokens: 80, reasoningTokens: 20 },
  });
});

const signed = (id: string, encrypted: string) => ({
  wire: 'openai-responses',
  value: JSON.stringify({ id, encrypted_content: encrypted }),
});

test('reasoning with its id, interleaved parallel calls, and a call without arguments are read', async () => {
  expect(await play('thinking-and-tool-calls.sse')).toMatchObject({
    status: 'complete',
    text: '',
    finishReason: 'tool-calls',
    thinking: [
      {
        text: '**Looking** for the file\n\nZwei Dateien – beide.',
        redacted: false,
        callsBefore: 0,
        signature: signed('rs_01', 'gAAAAABo-first=='),
      },
    ],
    toolCalls: [
      { id: 'call_a', name: 'read', arguments: '{"path":"größe.txt"}' },
      { id: 'call_b', name: 'list', arguments: '{}' },
    ],
    usage: { inputTokens: 300, outputTokens: 90, reasoningTokens: 64 },
  });
});

test('reasoning without text keeps its place between calls, and unknown items are ignored', async () => {
  expect(await play('thought-between-calls.sse')).toMatchObject({
    status: 'complete',
    finishReason: 'tool-calls',
    thinking: [{ text: '', redacted: false, callsBefore: 1, signature: signed('rs_02', 'gAAAAABo-second==') }],
    toolCalls: [
      { id: 'call_y', name: 'list', arguments: '{}' },
      { id: 'call_c', name: 'run', arguments: '{"command":"ls"}' },
    ],
  });
});

test('a refusal is passed on as text, and marked as a refusal', async () => {
  expect(await play('refusal.sse')).toMatchObject({ text: 'I can’t help with that.', finishReason: 'refusal' });
});

test('an incomplete answer has its reason', async () => {
  expect(await play('incomplete.sse')).toMatchObject({
    status: 'complete',
    finishReason: 'length',
    providerFinishReason: 'max_output_tokens',
    toolCalls: [{ arguments: '{"path":"a.txt","text":"half of i' }],
    usage: { outputTokens: 16 },
  });
  for (const [reason, finishReason] of [
    ['content_filter', 'refusal'],
    ['max_tool_calls', 'other'],
  ]) {
    const response = { status: 'incomplete', incomplete_details: { reason }, output: [] };
    const answer = await answerOf(created, says('a'), { type: 'response.incomplete', response });
    expect(answer).toMatchObject({ finishReason, providerFinishReason: reason });
  }
});

test.each([
  ['quota-after-created.sse', { code: 'provider-failed', retryable: false }, false],
  ['limited-in-the-middle.sse', { code: 'provider-limited', retryable: true, details: { retryAfterMs: 11_054 } }, true],
  ['error-event.sse', { code: 'context-exceeded', retryable: false }, false],
])('%s is an error, although the answer had begun', async (name, error, outputBegan) => {
  expect(await play(name)).toMatchObject({ status: 'failed', outputBegan, error });
});

test.each([
  [
    { type: 'response.failed', response: { status: 'failed', error: { code: 'server_error', message: 'broke' } } },
    { code: 'provider-failed', retryable: true },
  ],
  [{ type: 'response.failed', response: { status: 'failed', error: null } }, { code: 'provider-failed' }],
  [{ type: 'response.failed' }, { code: 'provider-failed', retryable: true }],
  [
    { type: 'response.failed', response: { error: { code: 'invalid_prompt', message: 'no' } } },
    { code: 'invalid-request', retryable: false },
  ],
  [
    { type: 'error', error: { type: 'invalid_request_error', code: 'context_length_exceeded', message: 'too long' } },
    { code: 'context-exceeded' },
  ],
  [{ error: { message: 'Overloaded', code: 529 } }, { code: 'provider-failed', retryable: true }],
  [
    { type: 'response.completed', error: 'model runner has stopped' },
    { code: 'provider-failed', retryable: true },
  ],
  ['<html>', { code: 'provider-failed', retryable: true }],
  ['[1]', { code: 'provider-failed', retryable: true }],
])('an error in the stream is an error, before and after output: %j', async (event, error) => {
  expect(await answerOf(created, event)).toMatchObject({ status: 'failed', outputBegan: false, error });
  expect(await answerOf(created, says('half'), event)).toMatchObject({ status: 'failed', outputBegan: true, error });
});

test('without its last event an answer is cut, even if the server sends [DONE]', async () => {
  const item = { type: 'message', content: [{ type: 'output_text', text: 'half' }] };
  const done = { type: 'response.output_item.done', output_index: 0, item };
  for (const events of [[created], [created, says('half')], [created, says('half'), done, '[DONE]'], []]) {
    expect(await answerOf(...events)).toMatchObject({ status: 'failed', error: { retryable: true } });
  }
});

test('a whole item is used only if there were no pieces', async () => {
  const call = { type: 'function_call', call_id: 'c1', name: 'read', arguments: '{"p":1}' };
  const items = [
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'e' },
    { type: 'message', content: [{ type: 'output_text', text: 'I look.' }] },
    call,
  ];
  const expected = {
    text: 'I look.',
    thinking: [{ text: 'hm', signature: { value: '{"id":"rs_1","encrypted_content":"e"}' } }],
    toolCalls: [{ id: 'c1', name: 'read', arguments: '{"p":1}' }],
    finishReason: 'tool-calls',
  };
  const last = { type: 'response.completed', response: { status: 'completed', output: items } };
  const done = items.map((item, index) => ({ type: 'response.output_item.done', output_index: index, item }));
  expect(await answerOf(created, last)).toMatchObject(expected);
  expect(await answerOf(created, ...done, last)).toMatchObject(expected);
  expect(await answerOf(created, says('I look.', { output_index: 1 }), ...done, last)).toMatchObject(expected);
  const whole = { id: 'resp_1', model: 'gpt-x', status: 'completed', error: null, output: items };
  expect(await replayWhole(openAiResponses, whole)).toMatchObject({ ...expected, responseModel: 'gpt-x' });
});

test('items that were read one by one are not repeated by the last event, even if it lists other items', async () => {
  const item = { type: 'message', id: 'msg_1', content: [{ type: 'output_text', text: 'a' }] };
  const last = { type: 'response.completed', response: { status: 'completed', output: [item] } };
  for (const at of [{ item_id: 'msg_1' }, { output_index: 1, item_id: 'msg_1' }]) {
    expect(await answerOf(created, says('a', at), last)).toMatchObject({ text: 'a', finishReason: 'stop' });
  }
});

test.each([
  [{ status: 'in_progress', output: [] }, { retryable: true }],
  [{ status: 'failed', output: [], error: { code: 'insufficient_quota', message: 'no money' } }, { retryable: false }],
  [{ status: 'cancelled', output: [] }, { message: expect.stringContaining('cancelled') }],
  [{ error: { message: 'slow down', code: 429 } }, { code: 'provider-limited' }],
  [{ hello: 'world' }, { code: 'provider-failed' }],
  [undefined, { code: 'provider-failed' }],
])('%j is not an unstreamed answer', async (body, error) => {
  expect(await replayWhole(openAiResponses, body)).toMatchObject({ status: 'failed', error });
});

test('items are distinguished by index, and without one by id', async () => {
  const added = (id: string, at: object) => ({
    type: 'response.output_item.added',
    item: { type: 'function_call', id, call_id: `call_${id}`, name: 'read', arguments: '' },
    ...at,
  });
  const argues = (id: string, delta: string, at: object) => ({
    type: 'response.function_call_arguments.delta',
    item_id: id,
    delta,
    ...at,
  });
  const expected = {
    toolCalls: [
      { id: 'call_x', arguments: '{"p":1}' },
      { id: 'call_y', arguments: '{}' },
    ],
  };
  expect(
    await answerOf(
      created,
      added('x', {}),
      added('y', {}),
      argues('x', '{"p":', {}),
      argues('y', '{}', {}),
      argues('x', '1}', {}),
      completed,
    ),
  ).toMatchObject(expected);
  const [first, second] = [{ output_index: 0 }, { output_index: 1 }];
  expect(
    await answerOf(
      created,
      added('x', first),
      added('y', second),
      argues('another', '{"p":', first),
      argues('and another', '{}', second),
      argues('x', '1}', first),
      completed,
    ),
  ).toMatchObject(expected);
});

test('the reasoning of open models is read as text, and the input of a custom tool is the text of the call', async () => {
  const input = { type: 'response.custom_tool_call_input.delta', output_index: 1, delta: '*** Begin Patch' };
  const item = { type: 'custom_tool_call', call_id: 'c1', name: 'apply_patch', input: '*** Begin Patch' };
  expect(
    await answerOf(
      created,
      { type: 'response.reasoning_text.delta', output_index: 0, content_index: 0, delta: 'hm' },
      input,
      { type: 'response.output_item.done', output_index: 1, item },
      completed,
    ),
  ).toMatchObject({
    thinking: [{ text: 'hm' }],
    toolCalls: [{ id: 'c1', name: 'apply_patch', arguments: '*** Begin Patch' }],
  });
});

test.each<[string, number, (index: number) => object]>([
  [
    'items',
    gatewayLimits.answerPartsMax + 1,
    (index) => ({ type: 'response.output_item.done', output_index: index, item: { type: 'reasoning' } }),
  ],
  ['parts of an item', gatewayLimits.answerPartsMax, (index) => says('x', { output_index: 0, content_index: index })],
  [
    'ids',
    gatewayLimits.textBytesMax / gatewayLimits.answerIdCharactersMax + 1,
    (index) => says('x', { item_id: String(index).padEnd(gatewayLimits.answerIdCharactersMax, 'x') }),
  ],
  ['an id', 1, () => says('x', { item_id: 'x'.repeat(gatewayLimits.answerIdCharactersMax + 1) })],
])('%s without end are not kept in memory', (_, count, event) => {
  const reader = openAiResponses.reader({ provider: 'acme', secret: null });
  const add = (index: number) => reader.event({ name: null, data: JSON.stringify(event(index)), complete: true });
  for (let index = 0; index < count - 1; index++) add(index);
  expect(() => add(count)).toThrow(expect.objectContaining({ code: 'limit-exceeded' }));
});
