import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { openAiError } from './openai-error.ts';

test.each([
  ['that is used up', 'limit-exceeded', {}, { 'x-should-retry': 'false' }, 'insufficient_quota'],
  [
    'that calls in flight have reserved',
    'provider-limited',
    { retryAfterMs: 1_000 },
    { 'retry-after': '1', 'retry-after-ms': '1000' },
    'rate_limit_exceeded',
  ],
] as const)('a client is told of a budget %s whether to come again', (_what, code, details, headers, vendorCode) => {
  const error = new CoppiceError(code, 'too little', { details: { budget: 'tenant acme', ...details } });
  expect(openAiError(error, 'openai-chat')).toMatchObject({ status: 429, headers, code: vendorCode });
});
