import { expect, test } from 'vitest';
import { recorded, replay, replayEveryWay, replayWhole } from '../../test-support/replay.ts';
import { gemini } from './wire.ts';

const play = async (name: string) => replayEveryWay(gemini, await recorded(import.meta.url, name));
const bytesOf = (events: readonly (object | string)[]): Uint8Array =>
  new TextEncoder().encode(
    events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join(''),
  );
const answerOf = (...events: (object | string)[]) => replay(gemini, [bytesOf(events)]);

const chunk = (parts: object[], rest: object = {}, finishReason?: string) => ({
  candidates: [{ content: { role: 'model', parts }, ...(finishReason === undefined ? {} : { finishReason }) }],
  ...rest,
});
const signature = (value: string) => ({ wire: 'gemini', value });

test('a text is read, and of the usage in each event the last is valid', async () => {
  expect(await play('text.sse')).toEqual({
    status: 'complete',
    text: 'Grüße, 你好 👩‍💻!',
    toolCalls: [],
    thinking: [],
    finishReason: 'stop',
    providerFinishReason: 'STOP',
    responseModel: 'gemini-2.5-flash',
    responseId: 'ZkX9aK3nGdqA',
    usage: { inputTokens: 104, outputTokens: 9, cachedInputTokens: 80 },
  });
});

test('thinking and parallel tool calls are read: the first is signed, one has no arguments, and ids are kept if they are sent', async () => {
  const answer = await play('thinking-and-tool-calls.sse');
  expect(answer).toMatchObject({
    status: 'complete',
    text: 'I look.',
    thinking: [{ text: '**Looking**\n\nZwei Dateien – beide.', redacted: false, callsBefore: 0 }],
    // The provider sent STOP.
    finishReason: 'tool-calls',
    toolCalls: [
      { name: 'read', arguments: '{"path":"größe.txt"}', signature: signature('CikBVKhc7first==') },
      { name: 'list', arguments: '{}' },
      { id: 'call-3', name: 'run', arguments: '{"command":"ls"}' },
    ],
    // The candidates' tokens exclude thinking.
    usage: { inputTokens: 300, outputTokens: 90, reasoningTokens: 64 },
  });
  if (answer.status !== 'complete') return;
  const ids = answer.toolCalls.map(({ id }) => id);
  expect(new Set(ids).size).toBe(3);
  expect(ids).not.toContain('');
  expect(answer.toolCalls[1]).not.toHaveProperty('signature');
});

test("a text's signature may be in a part without text", async () => {
  expect(await play('signed-text.sse')).toMatchObject({ text: 'It works.', thinking: [{ text: 'hm' }] });
  const reader = gemini.reader({ provider: 'acme', secret: null });
  expect(reader.whole(chunk([{ text: '', thoughtSignature: 's1' }, { text: '' }]))).toEqual([
    { type: 'text-delta', text: '', signature: signature('s1') },
  ]);
});

test('consecutive thinking parts are one block, until one is signed or another part follows', async () => {
  const thought = (text: string, rest: object = {}) => ({ text, thought: true, ...rest });
  expect(
    await answerOf(
      chunk([thought('a'), thought('b', { thoughtSignature: 's1' }), thought('c')]),
      chunk([{ functionCall: { name: 'list' } }, thought('d')], {}, 'STOP'),
    ),
  ).toMatchObject({
    thinking: [
      { text: 'ab', callsBefore: 0, signature: signature('s1') },
      { text: 'c', callsBefore: 0 },
      { text: 'd', callsBefore: 1 },
    ],
  });
});

test('a blocked prompt is a refusal, and so is an answer that is stopped because of its content', async () => {
  expect(await play('blocked-prompt.sse')).toMatchObject({
    status: 'complete',
    text: '',
    finishReason: 'refusal',
    providerFinishReason: 'PROHIBITED_CONTENT',
    usage: { inputTokens: 12 },
  });
  expect(await play('safety.sse')).toMatchObject({
    text: 'Half of ',
    finishReason: 'refusal',
    providerFinishReason: 'SAFETY',
  });
});

test('an image is reported as lost, in addition to the text that came with it', async () => {
  const picture = { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } };
  const reader = gemini.reader({ provider: 'acme', secret: null });
  const deltas = [...reader.whole(chunk([{ text: 'Here: ' }, picture], {}, 'STOP')), ...reader.end()];
  expect(deltas[0]).toMatchObject({ type: 'text-delta', text: 'Here: ' });
  expect(deltas.at(-1)).toMatchObject({ type: 'response-end', finishReason: 'stop', lost: 'image/png' });
});

test("a call that Google can't parse is reported neither as a call nor as stop", async () => {
  expect(await play('malformed-call.sse')).toMatchObject({
    status: 'complete',
    finishReason: 'other',
    providerFinishReason: 'MALFORMED_FUNCTION_CALL',
    usage: { outputTokens: 7, reasoningTokens: 7 },
  });
});

test.each([
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'length'],
  ['RECITATION', 'refusal'],
  ['SPII', 'refusal'],
  ['BLOCKLIST', 'refusal'],
  ['UNEXPECTED_TOOL_CALL', 'other'],
  ['A_NEW_ONE', 'other'],
])('finish reason %s is %s', async (vendorReason, finishReason) => {
  const answer = await answerOf(chunk([{ text: 'a' }], {}, vendorReason));
  expect(answer).toMatchObject({ status: 'complete', finishReason, providerFinishReason: vendorReason });
});

test('a missing finish reason is an error, whatever came before', async () => {
  for (const events of [
    [],
    [chunk([{ text: 'half' }])],
    [chunk([{ functionCall: { name: 'read', args: {} } }])],
    [{ candidates: [], usageMetadata: { promptTokenCount: 9 } }],
    [{ promptFeedback: {} }],
  ]) {
    expect(await answerOf(...events)).toMatchObject({ status: 'failed', error: { retryable: true } });
  }
  const cut = await answerOf(
    chunk([{ text: 'half' }], { usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 1 } }),
  );
  expect(cut.usage).toEqual({ inputTokens: 9, outputTokens: 1 });
});

test('the output count includes thinking, and the input count includes the tokens of tools and of the cache', async () => {
  const usageMetadata = {
    promptTokenCount: 100,
    toolUsePromptTokenCount: 10,
    candidatesTokenCount: 5,
    thoughtsTokenCount: 20,
    cachedContentTokenCount: 60,
    totalTokenCount: 135,
  };
  const early = { usageMetadata: { promptTokenCount: 90, candidatesTokenCount: 900 } };
  const answer = await answerOf(chunk([{ text: 'a' }], early), chunk([], { usageMetadata }, 'STOP'));
  expect(answer.usage).toEqual({ inputTokens: 110, outputTokens: 25, cachedInputTokens: 60, reasoningTokens: 20 });
});

test('audio input and generated images are counted separately', async () => {
  const usageMetadata = {
    promptTokenCount: 100,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 30 },
      { modality: 'AUDIO', tokenCount: 70 },
    ],
    cachedContentTokenCount: 60,
    cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 40 }],
    candidatesTokenCount: 1_300,
    candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1_290 }],
  };
  const { usage } = await answerOf(chunk([{ text: 'a' }], { usageMetadata }, 'STOP'));
  expect(usage).toMatchObject({ audioInputTokens: 70, cachedAudioInputTokens: 40, imageOutputTokens: 1_290 });
});

test('candidates, parts and fields that were not requested are ignored', async () => {
  expect(
    await answerOf(
      { candidates: [{ index: 1, content: { parts: [{ text: 'b' }] }, finishReason: 'STOP' }] },
      {
        candidates: [
          { content: { parts: [{ inlineData: { data: 'AAAA' } }, { text: 7 }, { text: 'a' }] }, avgLogprobs: 1 },
        ],
      },
      { candidates: [{ content: { parts: null }, finishReason: 'STOP' }], usageMetadata: 'none', modelVersion: 7 },
    ),
  ).toMatchObject({ status: 'complete', text: 'a', finishReason: 'stop', usage: {} });
});

test('an error in the middle of a stream is an error', async () => {
  expect(await play('error-in-the-middle.sse')).toMatchObject({
    status: 'failed',
    outputBegan: true,
    error: { code: 'provider-failed', retryable: true, details: { status: 503 } },
  });
});

test.each([
  [{ error: { code: 429, message: 'slow down', status: 'RESOURCE_EXHAUSTED' } }, { code: 'provider-limited' }],
  [{ error: { message: 'slow down', status: 'RESOURCE_EXHAUSTED' } }, { code: 'provider-limited', retryable: true }],
  [{ error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' } }, { code: 'invalid-request', retryable: false }],
  [
    { error: { code: 400, message: 'The input token count (9) exceeds the maximum number of tokens allowed (8).' } },
    { code: 'context-exceeded' },
  ],
  ['<html>', { code: 'provider-failed', retryable: true }],
  ['"text"', { code: 'provider-failed', retryable: true }],
])('%j is an error, before output and after', async (event, error) => {
  expect(await answerOf(event)).toMatchObject({ status: 'failed', outputBegan: false, error });
  expect(await answerOf(chunk([{ text: 'half' }]), event)).toMatchObject({
    status: 'failed',
    outputBegan: true,
    error,
  });
});

test('an unstreamed answer is read, and so is a list, which is the form of a stream without server-sent events', async () => {
  const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 2 };
  const expected = { status: 'complete', text: 'ab', finishReason: 'stop', usage: { inputTokens: 1, outputTokens: 2 } };
  const whole = chunk([{ text: 'a' }, { text: 'b' }], { usageMetadata }, 'STOP');
  expect(await replayWhole(gemini, whole)).toMatchObject(expected);
  const list = [chunk([{ text: 'a' }]), chunk([{ text: 'b' }], { usageMetadata }, 'STOP')];
  expect(await replayWhole(gemini, list)).toMatchObject(expected);
  for (const body of [[], [{ error: { code: 503 } }], { hello: 'world' }, undefined, [chunk([{ text: 'a' }])]]) {
    expect(await replayWhole(gemini, body)).toMatchObject({ status: 'failed', error: { code: 'provider-failed' } });
  }
});
