import { expect, test } from 'vitest';
import { usedUpMs } from './used-up.ts';

const nowMs = Date.parse('2026-06-01T12:00:00Z');

test.each([
  ['nothing is told', {}, null],
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
    'Anthropic tells until when',
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
])('where %s', (_, headers, expected) => {
  expect(usedUpMs(headers, nowMs)).toBe(expected);
});
