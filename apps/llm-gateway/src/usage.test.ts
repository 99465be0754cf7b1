import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { Attempt } from './collect.ts';
import type { UsageSoFar } from './provider/port.ts';
import { withEstimates, withUsage } from './usage.ts';

const complete = (usage: UsageSoFar): Attempt => ({
  status: 'complete',
  text: 'x'.repeat(30),
  toolCalls: [{ id: 'a', name: 'run', arguments: 'x'.repeat(10) }],
  finishReason: 'stop',
  thinking: [],
  providerFinishReason: null,
  responseModel: null,
  responseId: null,
  usage,
});
const failed = (outputBegan: boolean, usage: UsageSoFar): Attempt => ({
  status: 'failed',
  error: new CoppiceError('provider-failed', 'cut'),
  outputBegan,
  outputBytes: 8,
  usage,
});

test.each([
  ['nothing was counted', complete({}), { inputTokens: 100, outputTokens: 10 }],
  ['all was counted', complete({ inputTokens: 7, outputTokens: 0 }), { inputTokens: 7, outputTokens: 0 }],
  ['a part was counted', complete({ inputTokens: 7 }), { inputTokens: 7, outputTokens: 10 }],
  ['it was cut', failed(true, { costUsd: 1 }), { inputTokens: 100, outputTokens: 2, costUsd: 1 }],
  ['it failed before any output', failed(false, {}), {}],
])('where %s', (_, attempt, usage) => {
  expect(withEstimates(attempt, 400).usage).toEqual(usage);
});

test('a failure tells what it has cost, and stays what it is', () => {
  const error = new CoppiceError('provider-limited', 'wait', { details: { retryAfterMs: 5 }, retryable: true });
  expect(withUsage(error, { attempts: 2, usage: { inputTokens: 3 } })).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    details: { retryAfterMs: 5, attempts: 2, usage: { inputTokens: 3, outputTokens: 0, costUsd: null } },
  });
});
