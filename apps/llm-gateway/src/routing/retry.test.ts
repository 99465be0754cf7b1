import { CoppiceError } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pauseBeforeRetry } from './retry.ts';

const settings = { attemptsMax: 4, pauseMsMin: 500, pauseMsMax: 3_000, retryAfterMsMax: 60_000, random: () => 0.5 };
const failing = new CoppiceError('provider-failed', 'overloaded', { retryable: true });
const limited = (retryAfterMs: number) => new CoppiceError('provider-limited', 'wait', { details: { retryAfterMs } });

test('pauses double up to a limit, with jitter', () => {
  const pauses = [1, 2, 3].map((attempt) => pauseBeforeRetry(failing, attempt, settings));
  expect(pauses).toEqual([375, 750, 1_500]);
  expect(pauseBeforeRetry(failing, 4, settings)).toBeNull();
});

test('the wait that a provider states is a minimum, unless it is too long', () => {
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

test('a permanent error is not retried', () => {
  expect(pauseBeforeRetry(new CoppiceError('provider-failed', 'spend limit reached'), 1, settings)).toBeNull();
});
