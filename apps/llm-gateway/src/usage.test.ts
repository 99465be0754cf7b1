import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ProviderMessage, UsageSoFar } from './provider/port.ts';
import { sumOfUsage, withEstimates, withUsage } from './usage.ts';

const messages: ProviderMessage[] = [
  { role: 'user', content: [{ type: 'text', text: 'x'.repeat(100) }] },
  {
    role: 'assistant',
    content: [
      { type: 'thinking', text: 'x'.repeat(50), redacted: false },
      { type: 'tool-call', id: 'a', name: 'look', arguments: 'x'.repeat(50) },
    ],
  },
  {
    role: 'tool',
    content: [
      {
        type: 'tool-result',
        callId: 'a',
        name: 'look',
        content: 'x'.repeat(100),
        images: [{ mediaType: 'image/png', base64: 'x'.repeat(100) }],
        isError: false,
      },
    ],
  },
];

test.each<[string, UsageSoFar, UsageSoFar]>([
  ['nothing was counted', {}, { inputTokens: 100, outputTokens: 10 }],
  ['all was counted', { inputTokens: 7, outputTokens: 0 }, { inputTokens: 7, outputTokens: 0 }],
  ['a part was counted', { inputTokens: 7, costUsd: 1 }, { inputTokens: 7, outputTokens: 10, costUsd: 1 }],
])('where %s', (_, counted, usage) => {
  expect(withEstimates(counted, { messages, tools: [] }, 40)).toEqual(usage);
});

test('a sum has a cost if every usage in it has one', () => {
  const one = { inputTokens: 1, costUsd: 0.5 };
  expect(sumOfUsage(one, { inputTokens: 2, reasoningTokens: 3 })).toEqual({ inputTokens: 3, reasoningTokens: 3 });
  expect(sumOfUsage(one, { outputTokens: 2, costUsd: 0.25 })).toEqual({
    inputTokens: 1,
    outputTokens: 2,
    costUsd: 0.75,
  });
  expect(sumOfUsage({}, one)).toEqual(one);
  expect(sumOfUsage(one, { inputTokens: 0 })).toEqual(one);
});

test('a failure reports its cost, and otherwise stays unchanged', () => {
  const error = new CoppiceError('provider-limited', 'wait', { details: { retryAfterMs: 5 }, retryable: true });
  expect(withUsage(error, { attempts: [1, 2], usage: { inputTokens: 3 } })).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    details: { retryAfterMs: 5, attempts: 2, usage: { inputTokens: 3, outputTokens: 0, costUsd: null } },
  });
});
