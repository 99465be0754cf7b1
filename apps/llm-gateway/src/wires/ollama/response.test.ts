import { expect, test } from 'vitest';
import { recorded, replay, replayEveryWay, replayWhole } from '../../test-support/replay.ts';
import { ollama } from './wire.ts';

const fixture = async (name: string) => replayEveryWay(ollama, await recorded(import.meta.url, `${name}.ndjson`));

test('text and the counts on the last line are read', async () => {
  expect(await fixture('text')).toEqual({
    status: 'complete',
    text: 'Grüße, 你好 👩‍💻!',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: 'stop',
    responseModel: 'qwen3:8b',
    responseId: null,
    usage: { inputTokens: 26, outputTokens: 298 },
  });
});

test('tool calls are complete, on one line or several, and those without an id get one', async () => {
  const answer = await fixture('parallel-tools');
  expect(answer).toMatchObject({
    finishReason: 'tool-calls',
    providerFinishReason: 'stop',
    thinking: [{ text: 'Two files.', callsBefore: 0 }],
    toolCalls: [
      { name: 'read', arguments: '{"path":"café.txt"}' },
      { name: 'list', arguments: '{}' },
      { id: 'call_p7o2gz50', name: 'run', arguments: '{"command":"ls"}' },
    ],
  });
  const ids = answer.status === 'complete' ? answer.toolCalls.map(({ id }) => id) : [];
  expect(new Set(ids.filter((id) => id !== '')).size).toBe(3);
});

test('thinking is separate from text, and thinking after text is a new block', async () => {
  expect(await fixture('thinking')).toMatchObject({
    text: 'It is. Yes.',
    thinking: [
      { text: 'Hm, ü.', redacted: false },
      { text: 'Or not?', redacted: false },
    ],
    finishReason: 'length',
  });
});

test('an answer without counts and finish reason is complete', async () => {
  expect(await fixture('no-counts')).toMatchObject({ status: 'complete', text: 'ok', finishReason: 'stop', usage: {} });
});

test('unknown fields, unknown reasons, and lines after the last are ignored', async () => {
  expect(await fixture('unknown')).toMatchObject({
    text: 'abc',
    finishReason: 'other',
    providerFinishReason: 'unload',
  });
});

test.each([
  ['error', true],
  ['error-first', false],
])('%s: a line with an error is an error', async (name, outputBegan) => {
  const error = { code: 'provider-failed', retryable: true };
  expect(await fixture(name)).toMatchObject({ status: 'failed', outputBegan, error });
});

const says = (content: string) => `{"model":"m","message":{"role":"assistant","content":"${content}"},"done":false}\n`;

test('without a line with done the answer is cut', async () => {
  for (const cut of ['', says('a'), `${says('a')}{"model":"m","mess`]) {
    const error = { code: 'provider-failed', retryable: true };
    expect(await replay(ollama, [Buffer.from(cut)])).toMatchObject({ status: 'failed', error });
  }
});

test.each(['<html>\n', '[1]\n', '{"choices":[]}\n', '{"done":"yes"}\n'])(
  'a line that is not in this wire format is an error: %j',
  async (text) => {
    expect(await replay(ollama, [Buffer.from(`${says('a')}${text}`)])).toMatchObject({
      status: 'failed',
      outputBegan: true,
      error: { code: 'provider-failed', retryable: true },
    });
  },
);

test('an unstreamed answer is read', async () => {
  const message = {
    role: 'assistant',
    content: 'I look.',
    thinking: 'hm',
    tool_calls: [{ function: { name: 'run', arguments: '{"command":"ls"}' } }],
  };
  const body = { model: 'm', message, done: true, done_reason: 'stop', prompt_eval_count: 1, eval_count: 2 };
  expect(await replayWhole(ollama, body)).toMatchObject({
    status: 'complete',
    text: 'I look.',
    thinking: [{ text: 'hm' }],
    toolCalls: [{ name: 'run', arguments: '{"command":"ls"}' }],
    usage: { inputTokens: 1, outputTokens: 2 },
  });
  expect(await replayWhole(ollama, { ...body, done: false })).toMatchObject({ status: 'failed' });
  expect(await replayWhole(ollama, { error: 'model "m" not found, try pulling it first' })).toMatchObject({
    status: 'failed',
    error: { code: 'model-not-found', retryable: false },
  });
});
