import { expect, test } from 'vitest';
import { collect } from '../../collect.ts';
import type { ModelDeltas } from '../../provider/port.ts';
import { ChatAnswerReader } from './response.ts';

async function answerOf(...events: (object | string)[]) {
  async function* play(): ModelDeltas {
    const reader = new ChatAnswerReader({ provider: 'acme', secret: null });
    for (const event of events) {
      const data = typeof event === 'string' ? event : JSON.stringify(event);
      yield [...reader.event({ name: null, data, complete: true })];
    }
    yield [...reader.end()];
  }
  return collect(play(), {
    provider: 'acme',
    effectId: 'task_t1_1_1',
    textBytesMax: 10_000,
  });
}
const chunk = (delta: object | null, rest: object = {}, choice: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_760_000_000,
  model: 'gpt-x-2026',
  choices: delta === null ? [] : [{ index: 0, delta, finish_reason: null, ...choice }],
  ...rest,
});
const finished = (reason: string) => chunk({}, {}, { finish_reason: reason });
const says = (text: string) => chunk({ content: text });

test('text, the finish reason, and the usage in a chunk without choices are read', async () => {
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 30,
    total_tokens: 130,
    prompt_tokens_details: { cached_tokens: 80, audio_tokens: 10 },
    completion_tokens_details: { reasoning_tokens: 20, audio_tokens: 5 },
  };
  expect(
    await answerOf(
      chunk({ role: 'assistant', content: '', refusal: null }, { usage: null }),
      says('Hel'),
      says('lo'),
      finished('stop'),
      chunk(null, { usage }),
    ),
  ).toEqual({
    status: 'complete',
    text: 'Hello',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: 'stop',
    responseModel: 'gpt-x-2026',
    responseId: 'chatcmpl-1',
    // The prompt count includes cached tokens, the completion count includes reasoning, and both include audio.
    usage: {
      inputTokens: 100,
      outputTokens: 30,
      cachedInputTokens: 80,
      reasoningTokens: 20,
      audioInputTokens: 10,
      audioOutputTokens: 5,
    },
  });
});

test('of usage in every chunk the last is valid', async () => {
  const usage = (tokens: number) => ({ prompt_tokens: 10, completion_tokens: tokens, cost: tokens / 1_000 });
  expect(
    await answerOf(
      chunk({ content: 'a' }, { usage: usage(1) }),
      chunk({ content: 'b' }, { usage: usage(2) }),
      finished('stop'),
    ),
  ).toMatchObject({ text: 'ab', usage: { inputTokens: 10, outputTokens: 2, costUsd: 0.002 } });
});

test('an answer without usage is complete', async () => {
  expect(await answerOf(says('a'), finished('stop'))).toMatchObject({ status: 'complete', usage: {} });
});

test('a missing finish reason is an error, whatever came before', async () => {
  for (const events of [
    [says('a')],
    [],
    [says('a'), chunk(null, { usage: { prompt_tokens: 9, completion_tokens: 1 } })],
  ]) {
    expect(await answerOf(...events)).toMatchObject({
      status: 'failed',
      error: { code: 'provider-failed', retryable: true },
    });
  }
  const cut = await answerOf(says('a'), chunk(null, { usage: { prompt_tokens: 9, completion_tokens: 1 } }));
  expect(cut.usage).toEqual({ inputTokens: 9, outputTokens: 1 });
});

test.each([
  ['stop', 'stop'],
  ['length', 'length'],
  ['content_filter', 'refusal'],
  ['eos', 'other'],
])('finish reason %s is %s', async (wire, expected) => {
  expect(await answerOf(says('a'), finished(wire))).toMatchObject({ finishReason: expected });
});

const call = (rest: object) => chunk({ tool_calls: [rest] });

test("OpenAI's interleaved parallel tool calls, and pieces after the finish reason, are read", async () => {
  expect(
    await answerOf(
      chunk({ role: 'assistant', content: null }),
      call({ index: 0, id: 'call_a', type: 'function', function: { name: 'read', arguments: '' } }),
      call({ index: 0, function: { arguments: '{"path"' } }),
      call({ index: 1, id: 'call_b', type: 'function', function: { name: 'run', arguments: '' } }),
      call({ index: 0, function: { arguments: ':"a.txt"}' } }),
      finished('tool_calls'),
      call({ index: 1, function: { arguments: '{"command":"ls"}' } }),
    ),
  ).toMatchObject({
    text: '',
    finishReason: 'tool-calls',
    toolCalls: [
      { id: 'call_a', name: 'read', arguments: '{"path":"a.txt"}' },
      { id: 'call_b', name: 'run', arguments: '{"command":"ls"}' },
    ],
  });
});

test("Ollama's tool calls are read: whole calls in one chunk, with index 0, without ids, with arguments as an object, and with `stop`", async () => {
  const answer = await answerOf(
    chunk({
      role: 'assistant',
      content: '',
      tool_calls: [
        { index: 0, type: 'function', function: { name: 'read', arguments: '{"path":"a.txt"}' } },
        { index: 0, type: 'function', function: { name: 'read', arguments: { path: 'b.txt' } } },
      ],
    }),
    finished('stop'),
  );
  expect(answer).toMatchObject({
    finishReason: 'tool-calls',
    toolCalls: [
      { name: 'read', arguments: '{"path":"a.txt"}' },
      { name: 'read', arguments: '{"path":"b.txt"}' },
    ],
  });
  const ids = answer.status === 'complete' ? answer.toolCalls.map(({ id }) => id) : [];
  expect(new Set(ids).size).toBe(2);
});

test("llama.cpp's tool calls are read: without index, with an empty id, null content, timings and usage without choices", async () => {
  expect(
    await answerOf(
      chunk({ content: null }),
      chunk({ tool_calls: [{ id: '', function: { name: 'list', arguments: '{' } }] }),
      chunk({ tool_calls: [{ function: { arguments: '}' } }] }, { timings: { predicted_ms: 3 } }),
      finished('tool_calls'),
      { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } },
    ),
  ).toMatchObject({ toolCalls: [{ name: 'list', arguments: '{}' }], usage: { inputTokens: 5, outputTokens: 2 } });
});

test('reasoning is not text, and content in parts is', async () => {
  expect(
    await answerOf(
      chunk({ reasoning_content: 'hmm' }),
      chunk({ reasoning: 'hmm' }),
      chunk({
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'hmm' }] },
          { type: 'text', text: 'a' },
        ],
      }),
      finished('stop'),
    ),
  ).toMatchObject({ text: 'a', thinking: [{ text: 'hmmhmm', redacted: false, callsBefore: 0 }] });
});

test('reasoning that is sent under both names is read once', async () => {
  expect(
    await answerOf(chunk({ reasoning_content: 'hm', reasoning: 'hm' }), says('a'), finished('stop')),
  ).toMatchObject({ thinking: [{ text: 'hm' }] });
});

test('a refusal is passed on as text, and marked as a refusal', async () => {
  expect(await answerOf(chunk({ refusal: 'I will ' }), chunk({ refusal: 'not.' }), finished('stop'))).toMatchObject({
    text: 'I will not.',
    finishReason: 'refusal',
  });
});

test('choices and fields that were not requested are ignored', async () => {
  expect(
    await answerOf(
      { choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
      { ...says('b'), choices: [{ index: 1, delta: { content: 'b' }, finish_reason: 'length' }] },
      { model: 7, choices: [{ delta: { content: 'a', tool_calls: null }, logprobs: {} }], usage: 'none' },
      finished('stop'),
    ),
  ).toMatchObject({ text: 'a', finishReason: 'stop' });
});

test.each([
  [{ error: { message: 'Overloaded', type: 'overloaded_error' } }, { code: 'provider-failed', retryable: true }],
  [
    { error: { message: 'upstream died', code: 502 }, choices: [{ delta: {}, finish_reason: 'error' }] },
    { code: 'provider-failed', retryable: true },
  ],
  [{ error: { message: 'slow down', code: 429 } }, { code: 'provider-limited', retryable: true }],
  [
    { error: { message: 'Rate limit reached', type: 'rate_limit_exceeded' } },
    { code: 'provider-limited', retryable: true },
  ],
  [{ error: { message: 'no money', code: 'insufficient_quota' } }, { code: 'provider-failed', retryable: false }],
  [
    { error: { message: 'bad', type: 'invalid_request_error', code: 400 } },
    { code: 'invalid-request', retryable: false },
  ],
  [{ error: 'model runner has unexpectedly stopped' }, { code: 'provider-failed', retryable: true }],
  [{ choices: [{ delta: {}, error: { message: 'broke', code: 500 } }] }, { code: 'provider-failed', retryable: true }],
  [finished('error'), { code: 'provider-failed', retryable: true }],
  ['<html>', { code: 'provider-failed', retryable: true }],
  ['[1]', { code: 'provider-failed', retryable: true }],
])('an error in the stream is an error, before and after output: %j', async (event, error) => {
  expect(await answerOf(event)).toMatchObject({ status: 'failed', outputBegan: false, error });
  expect(await answerOf(says('half'), event)).toMatchObject({ status: 'failed', outputBegan: true, error });
});
