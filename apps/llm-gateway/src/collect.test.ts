import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { collect } from './collect.ts';
import type { ModelDelta } from './provider/port.ts';
import { gatewayLimits } from './limits.ts';
import { end, says, text } from './test-support/says.ts';

const settings = { provider: 'acme', effectId: 'task_t1_1_1', textBytesMax: 100 };

test('pieces are joined to one text, and the last values of the usage count', async () => {
  const stream = says(
    { type: 'response-start', responseModel: 'acme-1' },
    { type: 'usage', usage: { inputTokens: 10, outputTokens: 1 } },
    text('a'),
    text('b'),
    { type: 'usage', usage: { outputTokens: 2 } },
    end,
  );
  expect(await collect(stream, settings)).toEqual({
    status: 'complete',
    text: 'ab',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: null,
    responseModel: 'acme-1',
    responseId: null,
    usage: { inputTokens: 10, outputTokens: 2 },
  });
});

test('a stream that ends without response-end is a failure, which includes the usage', async () => {
  const usage = { inputTokens: 10, outputTokens: 1 };
  expect(await collect(says(text('half'), { type: 'usage', usage }), settings)).toMatchObject({
    status: 'failed',
    outputBegan: true,
    usage,
    error: { code: 'provider-failed', message: 'acme ended its answer in the middle', retryable: true },
  });
  expect(await collect(says(), settings)).toMatchObject({ status: 'failed', outputBegan: false });
});

test("a provider's error is passed on, and a defect becomes an error that is not retryable", async () => {
  const limited = new CoppiceError('provider-limited', 'wait');
  expect(await collect(says(limited), settings)).toMatchObject({ error: limited, outputBegan: false });
  expect(await collect(says(new TypeError('oops')), settings)).toMatchObject({
    error: { code: 'provider-failed', message: 'acme failed: oops', retryable: false },
  });
});

test('an answer that never ends is not kept in memory', async () => {
  expect(await collect(says(text('x'.repeat(60)), text('y'.repeat(60)), 'hang'), settings)).toMatchObject({
    status: 'failed',
    error: { code: 'limit-exceeded' },
  });
});

const piece = (call: number, rest: { id?: string; name?: string; arguments?: string }): ModelDelta => ({
  type: 'tool-call-delta',
  call,
  arguments: '',
  ...rest,
});

test('a tool call is assembled from interleaved pieces, and an answer with only tool calls has an empty text', async () => {
  const stream = says(
    piece(1, { id: 'b', name: 'write' }),
    piece(0, { arguments: '{"path":' }),
    piece(1, { arguments: '{}' }),
    piece(0, { id: 'a', name: 'read', arguments: '"x"}' }),
    { type: 'response-end', finishReason: 'tool-calls' },
  );
  expect(await collect(stream, settings)).toMatchObject({
    status: 'complete',
    text: '',
    toolCalls: [
      { id: 'a', name: 'read', arguments: '{"path":"x"}' },
      { id: 'b', name: 'write', arguments: '{}' },
    ],
  });
});

test('an answer may have text and tool calls, and its finish reason is then not stop', async () => {
  const call = piece(0, { id: 'a', name: 'read', arguments: 'not JSON' });
  expect(await collect(says(text('I look.'), call, end), settings)).toMatchObject({
    text: 'I look.',
    toolCalls: [{ id: 'a', name: 'read', arguments: 'not JSON' }],
    finishReason: 'tool-calls',
  });
  const cutShort = says(call, { type: 'response-end', finishReason: 'length' });
  expect(await collect(cutShort, settings)).toMatchObject({ finishReason: 'length' });
});

test("a text's signature is kept, whichever piece it is in", async () => {
  const textSignature = { wire: 'gemini', value: 's1' };
  const signed: ModelDelta = { type: 'text-delta', text: '', signature: textSignature };
  expect(await collect(says(text('a'), signed, end), settings)).toMatchObject({ text: 'a', textSignature });
  const large: ModelDelta = { ...signed, signature: { wire: 'gemini', value: 'x'.repeat(101) } };
  expect(await collect(says(large, end), settings)).toMatchObject({ error: { code: 'limit-exceeded' } });
});

test('an empty answer is complete', async () => {
  expect(await collect(says(end), settings)).toMatchObject({ status: 'complete', text: '', toolCalls: [] });
});

test('missing and repeated ids are replaced by generated ones, which are the same each time and differ between turns', async () => {
  const callIdsOf = async (effectId: string) => {
    const stream = says(
      piece(0, { name: 'a' }),
      piece(1, { id: 'x', name: 'b' }),
      piece(2, { id: 'x', name: 'c' }),
      end,
    );
    const attempt = await collect(stream, { ...settings, effectId });
    return attempt.status === 'complete' ? attempt.toolCalls.map((call) => call.id) : [];
  };
  const ids = await callIdsOf('task_t1_1_1');
  expect(ids).toEqual([expect.stringMatching(/^[a-z0-9]{9}$/), 'x', expect.stringMatching(/^[a-z0-9]{9}$/)]);
  expect(new Set(ids).size).toBe(3);
  expect(await callIdsOf('task_t1_1_1')).toEqual(ids);
  expect(await callIdsOf('task_t1_1_2')).not.toContain(ids[0]);
});

test('a cut tool call is a failure after the output began', async () => {
  expect(await collect(says(piece(0, { name: 'read', arguments: '{}' })), settings)).toMatchObject({
    status: 'failed',
    outputBegan: true,
    outputBytes: 2,
    error: { message: 'acme ended its answer in the middle' },
  });
});

test('the id of a tool call may contain a signature', async () => {
  const id = 'x'.repeat(gatewayLimits.answerIdCharactersMax);
  const made: ModelDelta = { type: 'tool-call-delta', call: 0, id, name: 'run', arguments: '{}' };
  const room = { ...settings, textBytesMax: gatewayLimits.textBytesMax };
  expect(await collect(says(made, end), room)).toMatchObject({ toolCalls: [{ id, name: 'run' }] });
});

test('an endless number of tool calls is not kept in memory', async () => {
  const many = Array.from({ length: 200 }, (_, call) => piece(call, { name: 'x' }));
  expect(await collect(says(...many, 'hang'), settings)).toMatchObject({ error: { code: 'limit-exceeded' } });
  const large = [piece(0, { arguments: 'x'.repeat(60) }), piece(0, { arguments: 'x'.repeat(60) })];
  expect(await collect(says(...large, 'hang'), settings)).toMatchObject({ error: { code: 'limit-exceeded' } });
  const named = piece(0, { name: 'x'.repeat(1_000) });
  expect(await collect(says(named, 'hang'), settings)).toMatchObject({ error: { code: 'limit-exceeded' } });
});

test('endless thinking is not kept in memory', async () => {
  const thought = (block: number): ModelDelta => ({ type: 'thinking-delta', block, text: '' });
  const many = Array.from({ length: gatewayLimits.answerPartsMax + 1 }, (_, block) => thought(block));
  expect(await collect(says(...many, 'hang'), settings)).toMatchObject({ error: { code: 'limit-exceeded' } });
});
