import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { AnswerBounds } from '../../answer-bounds.ts';
import { providerError } from '../../transport/errors.ts';
import { openAiError } from './openai-error.ts';

test.each([
  ["about a missing item is passed on to a client of the provider's wire format", 404, "Item 'rs_1' not found", 404],
  [
    'about a cached prompt that the client may not use is passed on',
    403,
    'CachedContent not found (or permission denied)',
    403,
  ],
  ['about flagged input is passed on', 403, 'Your input was flagged', 403],
  ["about the limit of the gateway's key is not passed on", 403, 'Key limit exceeded (daily limit)', 502],
  [
    "about the scopes of the gateway's key is not passed on",
    403,
    'Missing scopes: api.files.read. Check that your project allows it',
    502,
  ],
  ["about the gateway's account is not passed on", 401, 'who are you', 502],
])("a provider's error %s", (_what, status, message, clientStatus) => {
  const wire = 'openai-responses';
  const error = providerError({ provider: 'openai', status, body: { error: { message } }, wire });
  // A proxy sends such an error, whose body is text.
  const text = providerError({ provider: 'openai', status, body: message, wire });
  expect(openAiError(text, wire).status).toBe(502);
  expect(openAiError(error, wire).status).toBe(clientStatus);
  expect(openAiError(error, 'openai-chat').status).toBe(502);
});

test.each<[string, (bounds: AnswerBounds) => void]>([
  ['a name', (bounds) => bounds.checkedName('x'.repeat(1_000))],
  ['texts', (bounds) => bounds.take('x'.repeat(200))],
])('an answer with endless %s is not reported as a fault of the request', (_what, add) => {
  let error: unknown;
  try {
    add(new AnswerBounds("acme's answer", 100));
  } catch (thrown) {
    error = thrown;
  }
  expect(openAiError(error as CoppiceError, 'openai-chat')).toMatchObject({ status: 502, type: 'server_error' });
});

test.each([
  ['that is used up', 'limit-exceeded', {}, { 'x-should-retry': 'false' }, 'insufficient_quota'],
  [
    'that calls in flight have reserved',
    'provider-limited',
    { retryAfterMs: 1_000 },
    { 'retry-after': '1', 'retry-after-ms': '1000' },
    'rate_limit_exceeded',
  ],
] as const)('the error for a budget %s states whether to retry', (_what, code, details, headers, vendorCode) => {
  const error = new CoppiceError(code, 'too little', { details: { budget: 'tenant acme', ...details } });
  expect(openAiError(error, 'openai-chat')).toMatchObject({ status: 429, headers, code: vendorCode });
});
