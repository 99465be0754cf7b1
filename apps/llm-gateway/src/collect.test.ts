import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { collect } from './collect.ts';
import type { ModelDelta } from './provider/port.ts';

const settings = { provider: 'acme', signal: new AbortController().signal, textBytesMax: 100 };
const never = new Promise<never>(() => {});

async function* says(...steps: (ModelDelta | Error | 'hang')[]): AsyncIterable<ModelDelta> {
  for (const step of steps) {
    if (step === 'hang') await never;
    else if (step instanceof Error) throw step;
    else yield step;
  }
}
const text = (value: string): ModelDelta => ({ type: 'text-delta', text: value });
const end: ModelDelta = { type: 'response-end', finishReason: 'stop' };

test('pieces become one text; of the usage the last values count', async () => {
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
    finishReason: 'stop',
    responseModel: 'acme-1',
    usage: { inputTokens: 10, outputTokens: 2 },
  });
});

test('a stream that just ends is a failure, with what it used', async () => {
  const usage = { inputTokens: 10, outputTokens: 1 };
  expect(await collect(says(text('half'), { type: 'usage', usage }), settings)).toMatchObject({
    status: 'failed',
    outputBegan: true,
    usage,
    error: { code: 'provider-failed', message: 'acme ended its answer in the middle', retryable: true },
  });
  expect(await collect(says(), settings)).toMatchObject({ status: 'failed', outputBegan: false });
});

test("a provider's error is kept, a defect is one that won't pass", async () => {
  const limited = new CoppiceError('provider-limited', 'wait');
  expect(await collect(says(limited), settings)).toMatchObject({ error: limited, outputBegan: false });
  expect(await collect(says(new TypeError('oops')), settings)).toMatchObject({
    error: { code: 'provider-failed', message: 'acme failed: oops', retryable: false },
  });
});

test('an answer without end is not kept in memory', async () => {
  expect(await collect(says(text('x'.repeat(60)), text('y'.repeat(60)), 'hang'), settings)).toMatchObject({
    status: 'failed',
    error: { code: 'limit-exceeded' },
  });
});

test('a provider that ignores its signal is left behind', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(new CoppiceError('cancelled', 'no longer wanted')), 10);
  expect(await collect(says(text('half'), 'hang'), { ...settings, signal: abort.signal })).toMatchObject({
    status: 'failed',
    outputBegan: true,
    error: { code: 'cancelled' },
  });
});
