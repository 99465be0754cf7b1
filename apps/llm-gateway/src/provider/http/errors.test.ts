import { expect, test } from 'vitest';
import { providerError } from './errors.ts';

const complaint = (status: number, body: unknown, headers = {}) =>
  providerError({ provider: 'acme', status, body, headers });
const openAi = (message: string, code: string | null, type = 'x') => ({ error: { message, type, param: null, code } });

test.each([
  [429, openAi('Rate limit reached for gpt-x', 'rate_limit_exceeded'), 'provider-limited', true],
  [429, 'Too many requests', 'provider-limited', true],
  [
    429,
    openAi('You exceeded your current quota, please check your plan and billing details.', 'insufficient_quota'),
    'provider-failed',
    false,
  ],
  [429, openAi('Billing hard limit has been reached', 'billing_hard_limit_reached'), 'provider-failed', false],
  [429, { error: { message: 'You have reached your spend limit' } }, 'provider-failed', false],
  [402, { error: { message: 'Insufficient credits', code: 402 } }, 'provider-failed', false],
  [401, openAi('Incorrect API key provided', 'invalid_api_key'), 'provider-failed', false],
  [403, 'Forbidden', 'provider-failed', false],
  [404, openAi('The model `gpt-9` does not exist', 'model_not_found'), 'model-not-found', false],
  [404, { error: 'model "llama9" not found, try pulling it first' }, 'model-not-found', false],
  [404, '404 page not found', 'provider-failed', false],
  [400, { error: { message: 'acme/x is not a valid model ID. No such model', code: 400 } }, 'model-not-found', false],
  [400, openAi("'messages' must contain …", null, 'invalid_request_error'), 'invalid-request', false],
  [422, { detail: [{ loc: ['body'], msg: 'field required' }] }, 'invalid-request', false],
  [408, '', 'provider-failed', true],
  [500, openAi('The server had an error', null, 'server_error'), 'provider-failed', true],
  [503, '<html>down</html>', 'provider-failed', true],
  [529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, 'provider-failed', true],
  [501, 'not implemented', 'provider-failed', false],
])('HTTP %i %j is %s, retryable: %s', (status, body, code, retryable) => {
  expect(complaint(status, body)).toMatchObject({ code, retryable, details: { status } });
});

test('a spend limit is one even where a header asks to wait; a limit that passes may speak of billing', () => {
  const headers = { 'retry-after': '20' };
  const spent = openAi('You exceeded your current quota', 'insufficient_quota');
  expect(complaint(429, spent, headers)).toMatchObject({ code: 'provider-failed', retryable: false });
  const passing = [
    {
      error: {
        code: 429,
        message: 'You exceeded your current quota, please check your plan and billing details',
        status: 'RESOURCE_EXHAUSTED',
      },
    },
  ];
  expect(complaint(429, passing, headers)).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    details: { retryAfterMs: 20_000 },
  });
});

test('what asks to wait says how long, and what asks for no retry gets none', () => {
  expect(complaint(503, 'busy', { 'retry-after-ms': '250' }).details).toMatchObject({ retryAfterMs: 250 });
  expect(complaint(500, 'no', { 'x-should-retry': 'false' }).retryable).toBe(false);
});

test.each([
  openAi("This model's maximum context length is 8192 tokens", 'context_length_exceeded'),
  {
    error: {
      code: 400,
      message: 'the request exceeds the available context size (4096 tokens)',
      type: 'exceed_context_size_error',
    },
  },
  // As llama.cpp's server answered.
  {
    error: {
      code: 400,
      message: 'request (6031 tokens) exceeds the available context size (2048 tokens), try increasing it',
      type: 'exceed_context_size_error',
      n_prompt_tokens: 6031,
      n_ctx: 2048,
    },
  },
])('a conversation that is too long is told as such: %j', (body) => {
  expect(complaint(400, body)).toMatchObject({ code: 'context-exceeded', retryable: false });
});

test('the text is short, on one line, and holds no key', () => {
  const key = 'my-own-key-without-a-known-form';
  const body = openAi(`Bad key\n${key} ${'x'.repeat(484)}${key} and sk-abcdefghijklmnopqrstuvwx`, key);
  const error = providerError({ provider: 'acme', status: 401, body, secret: key });
  const told = JSON.stringify(error.toWire());
  expect(told).not.toContain(key.slice(0, 8));
  expect(told).not.toContain('sk-abc');
  expect(error.message).not.toContain('\n');
  expect(error.message.length).toBeLessThan(600);
  expect(error.message).toContain('Bad key [redacted]');
});
