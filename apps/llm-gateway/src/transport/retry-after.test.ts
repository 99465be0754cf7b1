import { describe, expect, test } from 'vitest';
import { durationOf, retryAfterMs, usedUpMs } from './retry-after.ts';

const now = Date.parse('2026-10-21T07:28:00Z');

test.each([
  [{ 'retry-after-ms': '1500', 'retry-after': '30' }, 1_500],
  [{ 'retry-after-ms': '20.4' }, 21],
  [{ 'retry-after-ms': 'soon', 'retry-after': '2' }, 2_000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:30 GMT' }, 30_000],
  [{ 'retry-after': 'Wed, 21 Oct 2026 07:27:00 GMT' }, 0],
  [{ 'retry-after': '-1' }, null],
  [{ 'retry-after': 'later' }, null],
  [{ 'retry-after': ['3', '4'] }, 3_000],
  [{ 'retry-after': '1', 'x-ratelimit-reset-tokens': '6m0s' }, 1_000],
  [{ 'x-ratelimit-reset-requests': '12ms', 'x-ratelimit-reset-tokens': '6m0s' }, 12],
  [
    { 'x-ratelimit-reset-requests': '12ms', 'x-ratelimit-reset-tokens': '6m0s', 'x-ratelimit-remaining-tokens': '0' },
    360_000,
  ],
  [{ 'anthropic-ratelimit-requests-reset': '2026-10-21T07:28:20Z' }, 20_000],
  [{ 'anthropic-ratelimit-tokens-reset': '2026-10-21T09:28:02.5+02:00' }, 2_500],
  [{ 'anthropic-ratelimit-requests-reset': '2026-10-21T07:27:00Z' }, 0],
  [
    {
      'anthropic-ratelimit-requests-reset': '2026-10-21T07:28:01Z',
      'anthropic-ratelimit-requests-remaining': '7',
      'anthropic-ratelimit-input-tokens-reset': '2026-10-21T07:28:30Z',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-output-tokens-reset': '2026-10-21T07:29:00Z',
      'anthropic-ratelimit-output-tokens-remaining': '100',
    },
    30_000,
  ],
  [{ 'retry-after': '3', 'anthropic-ratelimit-requests-reset': '2026-10-21T07:28:20Z' }, 3_000],
  [{ 'anthropic-ratelimit-requests-reset': 'soon' }, null],
  [{ 'anthropic-ratelimit-requests-reset': '20' }, null],
  [{}, null],
])('%j states a wait of %s ms', (headers, expected) => {
  expect(retryAfterMs(headers, now)).toBe(expected);
});

test.each([
  ['12ms', 12],
  ['6m0s', 360_000],
  ['1h2m3.5s', 3_723_500],
  ['1d', 86_400_000],
  ['1.5', 1_500],
  ['6 minutes', null],
  ['', null],
  ['5s!', null],
  [`${'1'.repeat(60)}.000`, Number('1'.repeat(60)) * 1_000],
  ['1'.repeat(65), null],
])('the duration %j is %s ms', (text, expected) => {
  expect(durationOf(text)).toBe(expected);
});

describe('the wait for used-up limits in the headers of an answer', () => {
  test.each([
    ['nothing is stated', {}, null],
    ['something is left', { 'x-ratelimit-remaining-requests': '1', 'x-ratelimit-reset-requests': '6m0s' }, null],
    [
      'the requests are used up',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' },
      360_000,
    ],
    [
      'both are used up',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '12ms',
      },
      1_000,
    ],
    ['it does not say until when', { 'x-ratelimit-remaining-requests': '0' }, null],
    ['its form is another', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': 'soon' }, null],
    [
      'Anthropic states the time of the reset',
      {
        'anthropic-ratelimit-output-tokens-remaining': '0',
        'anthropic-ratelimit-output-tokens-reset': '2026-06-01T12:00:30Z',
        'anthropic-ratelimit-requests-remaining': '9',
        'anthropic-ratelimit-requests-reset': '2026-06-01T13:00:00Z',
      },
      30_000,
    ],
    [
      'that time is over',
      { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': '2026-06-01T11:00:00Z' },
      null,
    ],
  ])('if %s', (_, headers, expected) => {
    expect(usedUpMs(headers, Date.parse('2026-06-01T12:00:00Z'))).toBe(expected);
  });
});
