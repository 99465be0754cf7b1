import { expect, test } from 'vitest';
import { providerError } from './errors.ts';

const complaint = (status: number, body: unknown, headers = {}) =>
  providerError({ provider: 'acme', status, body, headers });
const anthropic = (type: string, message: string) => ({
  type: 'error',
  error: { type, message },
  request_id: 'req_1',
});
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
  [529, anthropic('overloaded_error', 'Overloaded'), 'provider-failed', true],
  [500, anthropic('api_error', 'Internal server error'), 'provider-failed', true],
  [504, anthropic('timeout_error', 'Request timed out'), 'provider-failed', true],
  [429, anthropic('rate_limit_error', 'This would exceed your rate limit of 40,000'), 'provider-limited', true],
  [429, anthropic('rate_limit_error', 'You have reached your monthly spend limit'), 'provider-failed', false],
  [400, anthropic('invalid_request_error', 'Your credit balance is too low to access'), 'provider-failed', false],
  [
    400,
    anthropic('invalid_request_error', 'You have reached your specified API usage limits. You will regain access on'),
    'provider-failed',
    false,
  ],
  [402, anthropic('billing_error', 'Check your payment details'), 'provider-failed', false],
  [401, anthropic('authentication_error', 'invalid x-api-key'), 'provider-failed', false],
  [403, anthropic('permission_error', 'Your key may not use this'), 'provider-failed', false],
  [404, anthropic('not_found_error', 'model: claude-opus-9'), 'model-not-found', false],
  [404, anthropic('not_found_error', 'Not Found'), 'provider-failed', false],
  [400, anthropic('invalid_request_error', 'max_tokens: 999999 > 64000'), 'invalid-request', false],
  [413, anthropic('request_too_large', 'Request exceeds the maximum size'), 'context-exceeded', false],
  [400, anthropic('invalid_request_error', 'prompt is too long: 210000 tokens > 200000'), 'context-exceeded', false],
  [
    400,
    anthropic('invalid_request_error', 'input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000'),
    'context-exceeded',
    false,
  ],
  // Errors of Ollama.
  [400, { error: '"llama3" does not support tools' }, 'invalid-request', false],
  [400, { error: 'the input length exceeds the context length' }, 'context-exceeded', false],
  [500, { error: 'llama runner process has terminated: signal: killed' }, 'provider-failed', true],
  [503, { error: 'server busy, please try again. maximum pending requests exceeded' }, 'provider-failed', true],
  [501, 'not implemented', 'provider-failed', false],
])('HTTP %i %j is %s, retryable: %s', (status, body, code, retryable) => {
  expect(complaint(status, body)).toMatchObject({ code, retryable, details: { status } });
});

test.each([
  ['overloaded_error', 'provider-failed', true, 529],
  ['rate_limit_error', 'provider-limited', true, 429],
  ['timeout_error', 'provider-failed', true, 504],
  ['billing_error', 'provider-failed', false, 402],
  ['permission_error', 'provider-failed', false, 403],
  ['authentication_error', 'provider-failed', false, 401],
  ['request_too_large', 'context-exceeded', false, 413],
])('in a stream with status 200, %s counts as the status of its type', (type, code, retryable, status) => {
  const body = anthropic(type, 'no');
  expect(providerError({ provider: 'acme', body })).toMatchObject({ code, retryable, details: { status } });
});

test('rate limits in the headers do not make a spend limit temporary', () => {
  const headers = { 'anthropic-ratelimit-requests-reset': new Date(Date.now() + 1_000).toISOString() };
  const spent = anthropic('rate_limit_error', 'You have reached your monthly spend limit');
  expect(complaint(429, spent, headers)).toMatchObject({ code: 'provider-failed', retryable: false });
});

test('a spend limit is recognised even if a header states a wait, and a temporary limit may mention billing', () => {
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

test('an error that states a wait reports it, and one that forbids a retry is not retryable', () => {
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
  // An error of llama.cpp's server.
  {
    error: {
      code: 400,
      message: 'request (6031 tokens) exceeds the available context size (2048 tokens), try increasing it',
      type: 'exceed_context_size_error',
      n_prompt_tokens: 6031,
      n_ctx: 2048,
    },
  },
])('a conversation that is too long is reported as such: %j', (body) => {
  expect(complaint(400, body)).toMatchObject({ code: 'context-exceeded', retryable: false });
});

test('the text is short, is one line, and contains no key', () => {
  const key = 'my-own-key-without-a-known-form';
  const body = openAi(`Bad key\n${key} ${'x'.repeat(484)}${key} and sk-abcdefghijklmnopqrstuvwx`, key);
  const error = providerError({ provider: 'acme', status: 401, body, secret: key });
  const wire = JSON.stringify(error.toWire());
  expect(wire).not.toContain(key.slice(0, 8));
  expect(wire).not.toContain('sk-abc');
  expect(error.message).not.toContain('\n');
  expect(error.message.length).toBeLessThan(600);
  expect(error.message).toContain('Bad key [redacted]');
});

test('only the beginning of an endless text is reported, without a part of a key at the cut', () => {
  const messageFor = (text: string) =>
    providerError({ provider: 'acme', status: 400, body: openAi(text, null) }).message;
  expect(messageFor(`It is ${'a'.repeat(300_000)}`)).toMatch(/^acme: It is a{494}… \(HTTP 400\)$/);
  // Redaction makes this text much shorter.
  for (let length = 3_200; length < 6_300; length += 100) {
    const token = `eyJ${'a'.repeat(10_000)}.${'b'.repeat(length)}.c `;
    expect(messageFor(token.repeat(5))).not.toMatch(/eyJ|aa|bb/);
  }
});

test("the error's param and code are kept as the wire format names them, short and without a key", () => {
  const key = 'my-own-key-without-a-known-form';
  const wire = 'openai-chat';
  const about = { provider: 'acme', status: 400, secret: key, wire } as const;
  const named = (param: unknown, code: unknown) =>
    providerError({ ...about, body: { error: { message: 'no', param, code } } }).details?.['providerNames'];
  expect(named('temperature', 'unsupported_value')).toEqual({ wire, param: 'temperature', code: 'unsupported_value' });
  expect(named('temperature', 400)).toEqual({ wire, param: 'temperature', code: null });
  expect(named(null, null)).toEqual({ wire, param: null, code: null });
  const odd = JSON.stringify(named(`${key} sk-abcdefghijklmnopqrstuvwx`, 'x'.repeat(10_000)));
  expect(odd).not.toMatch(/my-own|sk-abc/);
  expect(odd.length).toBeLessThan(700);
});

const google = (code: number, message: string, status: string, details: object[] = []) => [
  { error: { code, message, status, details } },
];
const retryInfo = (retryDelay: string) => ({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay });
const quota = (quotaId: string) => ({
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaMetric: 'requests', quotaId, quotaValue: '15' }],
});
const exhausted = 'You exceeded your current quota, please check your plan and billing details.';

test('Google states a wait in the body, and its temporary limit is not a spend limit', () => {
  const details = [quota('GenerateRequestsPerMinutePerProjectPerModel'), retryInfo('34.4s')];
  expect(complaint(429, google(429, exhausted, 'RESOURCE_EXHAUSTED', details))).toMatchObject({
    code: 'provider-limited',
    retryable: true,
    details: { retryAfterMs: 34_400 },
  });
  // A header takes precedence.
  const both = complaint(429, google(429, exhausted, 'RESOURCE_EXHAUSTED', details), { 'retry-after': '2' });
  expect(both.details).toMatchObject({ retryAfterMs: 2_000 });
  for (const odd of ['soon', '', '-1s', `${'1'.repeat(300_000)}x`, `${'1'.repeat(60)}.5000s`]) {
    const error = complaint(429, google(429, 'slow down', 'RESOURCE_EXHAUSTED', [retryInfo(odd), { x: 1 }]));
    expect(error.details).not.toHaveProperty('retryAfterMs');
  }
});

test('a daily limit does not pass within the seconds that it states', () => {
  const details = [quota('GenerateRequestsPerDayPerProjectPerModel-FreeTier'), retryInfo('34s')];
  const error = complaint(429, google(429, exhausted, 'RESOURCE_EXHAUSTED', details));
  expect(error).toMatchObject({ code: 'provider-limited', retryable: false });
  expect(error.details).not.toHaveProperty('retryAfterMs');
});

test.each([
  ['Please try again in 11.054s. Visit …', 11_054],
  ['Please try again in 28ms.', 28],
  ['Please try again in 6m0s.', 360_000],
  ['Please retry in 34.074824224s.', 34_075],
  ['Try again in 35 seconds.', 35_000],
  ['Please try again in 3 sheets', null],
  ['Please try again in a minute', null],
])('the wait in %j is read: %j', (message, expected) => {
  const error = providerError({ provider: 'acme', body: { error: { code: 'rate_limit_exceeded', message } } });
  expect(error).toMatchObject({ code: 'provider-limited', retryable: true });
  expect(error.details?.['retryAfterMs'] ?? null).toBe(expected);
});

test.each([
  [400, google(400, 'API key not valid. Please pass a valid API key.', 'INVALID_ARGUMENT'), 'provider-failed', false],
  [400, google(400, 'API key expired. Please renew the API key.', 'INVALID_ARGUMENT'), 'provider-failed', false],
  [400, google(400, 'Invalid value at contents[0]', 'INVALID_ARGUMENT'), 'invalid-request', false],
  [403, google(403, 'The caller does not have permission', 'PERMISSION_DENIED'), 'provider-failed', false],
  [404, google(404, 'models/gemini-9 is not found for API version v1beta', 'NOT_FOUND'), 'model-not-found', false],
  [429, google(429, 'Resource has been exhausted (e.g. check quota).', 'RESOURCE_EXHAUSTED'), 'provider-limited', true],
  [503, google(503, 'The model is overloaded.', 'UNAVAILABLE'), 'provider-failed', true],
  [
    400,
    google(
      400,
      'The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).',
      'INVALID_ARGUMENT',
    ),
    'context-exceeded',
    false,
  ],
])("Google's HTTP %i %j is %s", (status, body, code, retryable) => {
  expect(complaint(status, body)).toMatchObject({ code, retryable });
});
