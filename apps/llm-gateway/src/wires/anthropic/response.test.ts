import { expect, test } from 'vitest';
import { recorded, replay, replayEveryWay, replayWhole } from '../../test-support/replay.ts';
import { gatewayLimits } from '../../limits.ts';
import { anthropic } from './wire.ts';

const fixture = async (name: string) => replayEveryWay(anthropic, await recorded(import.meta.url, `${name}.sse`));
const events = (...list: (object & { type: string })[]): Uint8Array =>
  Buffer.from(list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''));
const signature = (value: string) => ({ wire: 'anthropic', value });

test('text with pings in it is read', async () => {
  expect(await fixture('text')).toEqual({
    status: 'complete',
    text: 'Grüße, 你好 👩‍💻!',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: 'end_turn',
    responseModel: 'claude-sonnet-4-5-20250929',
    responseId: 'msg_01A',
    usage: { inputTokens: 25, cachedInputTokens: 0, cacheWriteInputTokens: 0, outputTokens: 15 },
  });
});

test('parallel tool calls are read, and one whose only piece is empty has an empty object', async () => {
  expect(await fixture('parallel-tools')).toMatchObject({
    text: 'I look.',
    finishReason: 'tool-calls',
    toolCalls: [
      { id: 'toolu_01A', name: 'read', arguments: '{"path": "café.txt"}' },
      { id: 'toolu_01B', name: 'list', arguments: '{}' },
      { id: 'toolu_01C', name: 'run', arguments: '{"command": "ls"}' },
    ],
  });
});

test('thinking is read with its signature: with text, redacted, and with omitted text', async () => {
  expect(await fixture('thinking')).toMatchObject({
    text: 'I read it.',
    thinking: [
      {
        text: 'The file is “ü”.',
        redacted: false,
        signature: signature('EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk='),
        callsBefore: 0,
      },
      { text: '', redacted: true, signature: signature('EmwKAhgBEgy3va3pzix='), callsBefore: 0 },
      { text: '', redacted: false, signature: signature('EqRRCgIYAhIM='), callsBefore: 1 },
    ],
    toolCalls: [{ name: 'read' }, { name: 'list', arguments: '{}' }],
    usage: { outputTokens: 120, reasoningTokens: 70 },
  });
});

test('a refusal is reported, with the separate explanation if the model has sent no text', async () => {
  expect(await fixture('refusal')).toMatchObject({ text: 'First you ', finishReason: 'refusal' });
  expect(await fixture('refusal-unsaid')).toMatchObject({ text: 'This may be misused.', finishReason: 'refusal' });
});

test('the last value of each count is valid, and the input includes cache reads and writes', async () => {
  const { usage } = await fixture('usage-revisions');
  expect(usage).toEqual({
    inputTokens: 160 + 2_000 + 31_000,
    cacheWriteInputTokens: 2_000,
    cacheWriteHourInputTokens: 0,
    cachedInputTokens: 31_000,
    outputTokens: 20,
    reasoningTokens: 0,
  });
});

test('unknown events, blocks, pieces and fields are ignored', async () => {
  expect(await fixture('unknown')).toMatchObject({
    status: 'complete',
    text: 'It is.',
    toolCalls: [],
    finishReason: 'stop',
  });
});

const overloaded = { code: 'provider-failed', retryable: true, details: { status: 529 } };
test.each([
  ['overloaded', false],
  ['overloaded-after-preamble', false],
  ['overloaded-late', true],
])(
  '%s: an error in the stream counts as its HTTP status, and the result states whether output came before it',
  async (name, outputBegan) => {
    expect(await fixture(name)).toMatchObject({ status: 'failed', outputBegan, error: overloaded });
  },
);

const begin = {
  type: 'message_start',
  message: { id: 'msg_1', model: 'claude-x', content: [], usage: { input_tokens: 9, output_tokens: 1 } },
};
const says = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'a' } };
const ends = (reason: string | null) => ({
  type: 'message_delta',
  delta: { stop_reason: reason },
  usage: { output_tokens: 5 },
});

test.each([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['refusal', 'refusal'],
  ['pause_turn', 'other'],
  ['compaction', 'other'],
  ['a_new_one', 'other'],
])('stop reason %s is %s', async (reason, finishReason) => {
  expect(await replay(anthropic, [events(begin, says, ends(reason), { type: 'message_stop' })])).toMatchObject({
    finishReason,
    providerFinishReason: reason,
  });
});

test('without a stop reason the answer is cut, and the output count from before any output is ignored', async () => {
  for (const cut of [events(begin, says), events(begin, says, { type: 'message_stop' })]) {
    expect(await replay(anthropic, [cut])).toMatchObject({
      status: 'failed',
      outputBegan: true,
      error: { code: 'provider-failed', retryable: true },
      usage: { inputTokens: 9 },
    });
  }
  const { usage } = await replay(anthropic, [events(begin, says)]);
  expect(usage).not.toHaveProperty('outputTokens');
});

test('an answer without usage is complete', async () => {
  const bare = { type: 'message_start', message: { model: 'm' } };
  const end = { type: 'message_delta', delta: { stop_reason: 'end_turn' } };
  expect(await replay(anthropic, [events(bare, says, end)])).toMatchObject({
    status: 'complete',
    text: 'a',
    usage: {},
  });
});

test('the arguments at the beginning of a tool call are used if no piece follows', async () => {
  const call = (input: unknown) => ({
    type: 'content_block_start',
    index: 0,
    content_block: { type: 'tool_use', id: 't', name: 'run', input },
  });
  const piece = { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '{"a":2}' } };
  expect(await replay(anthropic, [events(begin, call({ a: 1 }), ends('tool_use'))])).toMatchObject({
    toolCalls: [{ arguments: '{"a":1}' }],
  });
  expect(await replay(anthropic, [events(begin, call({ a: 1 }), piece, ends('tool_use'))])).toMatchObject({
    toolCalls: [{ arguments: '{"a":2}' }],
  });
});

test('an unstreamed answer is read', async () => {
  const body = {
    id: 'msg_1',
    type: 'message',
    model: 'claude-x',
    content: [
      { type: 'thinking', thinking: 'hm', signature: 's' },
      { type: 'redacted_thinking', data: 'd' },
      { type: 'text', text: 'I look.' },
      { type: 'tool_use', id: 't1', name: 'run', input: { command: 'ls' } },
      { type: 'tool_use', id: 't2', name: 'list', input: {} },
    ],
    stop_reason: 'tool_use',
    usage: {
      input_tokens: 1,
      cache_read_input_tokens: 2,
      cache_creation_input_tokens: 3,
      cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 },
      output_tokens: 4,
    },
  };
  expect(await replayWhole(anthropic, body)).toEqual({
    status: 'complete',
    text: 'I look.',
    thinking: [
      { text: 'hm', redacted: false, signature: signature('s'), callsBefore: 0 },
      { text: '', redacted: true, signature: signature('d'), callsBefore: 0 },
    ],
    toolCalls: [
      { id: 't1', name: 'run', arguments: '{"command":"ls"}' },
      { id: 't2', name: 'list', arguments: '{}' },
    ],
    finishReason: 'tool-calls',
    providerFinishReason: 'tool_use',
    responseModel: 'claude-x',
    responseId: 'msg_1',
    usage: {
      inputTokens: 6,
      cachedInputTokens: 2,
      cacheWriteInputTokens: 3,
      cacheWriteHourInputTokens: 2,
      outputTokens: 4,
    },
  });
  expect(await replayWhole(anthropic, { type: 'error', error: { type: 'overloaded_error' } })).toMatchObject({
    status: 'failed',
    error: overloaded,
  });
  for (const other of [{ hello: 'world' }, { ...body, stop_reason: null }, [body], 'text', undefined]) {
    expect(await replayWhole(anthropic, other)).toMatchObject({ status: 'failed', error: { retryable: true } });
  }
});

test.each([
  'data: <html>\n\n',
  'event: message_delta\ndata: {"broken\n\n',
  'data: [1]\n\n',
  'data: {"choices":[]}\n\n',
])('data that is not an event of this wire format is an error: %j', async (text) => {
  expect(await replay(anthropic, [events(begin, says), Buffer.from(text)])).toMatchObject({
    status: 'failed',
    outputBegan: true,
    error: { code: 'provider-failed', retryable: true },
  });
});

test.each<[string, number, object]>([
  ['blocks', gatewayLimits.answerPartsMax + 1, { type: 'thinking', thinking: '' }],
  ['what calls begin with', 16, { type: 'tool_use', id: 'a', name: 'x', input: { text: 'x'.repeat(1024 * 1024) } }],
])('%s without end are not kept in memory', (_, count, block) => {
  const reader = anthropic.reader({ provider: 'acme', secret: null });
  const add = (index: number) => {
    const data = JSON.stringify({ type: 'content_block_start', index, content_block: block });
    reader.event({ name: 'content_block_start', data, complete: true });
  };
  for (let index = 0; index < count - 1; index++) add(index);
  expect(() => add(count)).toThrow(expect.objectContaining({ code: 'limit-exceeded' }));
});
