import { CoppiceError } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Attempt } from './collect.ts';
import { askPatiently, pauseBeforeRetry } from './retry.ts';

const settings = { attemptsMax: 4, pauseMsMin: 500, pauseMsMax: 3_000, retryAfterMsMax: 60_000, random: () => 0.5 };
const quick = { ...settings, pauseMsMin: 1, pauseMsMax: 2 };
const failing = new CoppiceError('provider-failed', 'overloaded', { retryable: true });
const limited = (retryAfterMs: number) => new CoppiceError('provider-limited', 'wait', { details: { retryAfterMs } });

const complete: Attempt = {
  status: 'complete',
  text: 'a',
  toolCalls: [],
  finishReason: 'stop',
  thinking: [],
  providerFinishReason: null,
  responseModel: null,
  responseId: null,
  usage: { inputTokens: 5, outputTokens: 3 },
};
const failed = (error: CoppiceError, outputBegan = false): Attempt => ({
  status: 'failed',
  error,
  outputBegan,
  outputBytes: 0,
  usage: { inputTokens: 5 },
});

function play(...attempts: Attempt[]) {
  const asked: number[] = [];
  const ask = async (attempt: number) => {
    asked.push(attempt);
    return attempts[attempt - 1] as Attempt;
  };
  return { asked, ask };
}
const soon = () => ({ endsAtMs: Date.now() + 5_000, signal: new AbortController().signal });

test('pauses double up to a limit, with jitter', () => {
  const pauses = [1, 2, 3].map((attempt) => pauseBeforeRetry(failing, attempt, settings));
  expect(pauses).toEqual([375, 750, 1_500]);
  expect(pauseBeforeRetry(failing, 4, settings)).toBeNull();
});

test('what the provider asks for is a minimum, unless it asks for too much', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (retryAfterMs, random) => {
        expect(
          pauseBeforeRetry(limited(retryAfterMs), 1, { ...settings, random: () => random }),
        ).toBeGreaterThanOrEqual(retryAfterMs);
      },
    ),
  );
  expect(pauseBeforeRetry(limited(60_001), 1, settings)).toBeNull();
});

test('what would not pass is not tried again', () => {
  expect(pauseBeforeRetry(new CoppiceError('provider-failed', 'spend limit reached'), 1, settings)).toBeNull();
});

test('it asks until there is an answer, and counts what every attempt used', async () => {
  const { asked, ask } = play(failed(failing), failed(failing), complete);
  expect(await askPatiently(ask, quick, soon())).toEqual({
    outcome: complete,
    attempts: 3,
    usage: { inputTokens: 15, outputTokens: 3 },
  });
  expect(asked).toEqual([1, 2, 3]);
});

test('it gives up after the last attempt', async () => {
  const { asked, ask } = play(...Array.from({ length: 9 }, () => failed(failing)));
  expect(await askPatiently(ask, quick, soon())).toMatchObject({ attempts: 4, outcome: { error: failing } });
  expect(asked).toHaveLength(4);
});

test('after output it never asks again', async () => {
  const { asked, ask } = play(failed(failing, true), complete);
  await askPatiently(ask, quick, soon());
  expect(asked).toEqual([1]);
});

test('it does not begin a pause that outlasts the time limit', async () => {
  const { asked, ask } = play(failed(limited(10_000)), complete);
  expect(await askPatiently(ask, quick, soon())).toMatchObject({ outcome: { status: 'failed' } });
  expect(asked).toEqual([1]);
});

test('an abort ends the pause', async () => {
  const { asked, ask } = play(failed(limited(4_000)), complete);
  const startedAt = Date.now();
  await askPatiently(ask, quick, { ...soon(), signal: AbortSignal.timeout(20) });
  expect(Date.now() - startedAt).toBeLessThan(2_000);
  expect(asked).toEqual([1]);
});
