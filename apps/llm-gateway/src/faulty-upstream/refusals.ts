/** Error responses as the vendors send them, in every form in which they say how long to wait. */
import { CoppiceError } from '@coppice/contracts';
import { refusal } from '../ingress/http/error-response.ts';
import type { Endpoint } from '../ingress/http/endpoint.ts';
import type { WireName } from '../provider/port.ts';
import type { FaultName, Scenario } from './faults.ts';

export type Refusal = { status: number; headers: Record<string, string>; body: object | string };
type Refuse = (endpoint: Endpoint, amount: number) => Refusal;

const json = { 'content-type': 'application/json' };
const failed = (status: number, message: string): CoppiceError =>
  new CoppiceError('provider-failed', message, { details: { status }, retryable: true });
const slowDown = new CoppiceError('provider-limited', 'Too many requests: slow down.', { retryable: true });

/** In the vendor's form, with this exact status, which the endpoint's mapping could change. */
function told(endpoint: Endpoint, error: CoppiceError, status: number, headers: Record<string, string> = {}): Refusal {
  return { status, headers: { ...json, ...headers }, body: endpoint.error(error).body };
}

const limited = (headersOf: (amount: number) => Record<string, string>): Refuse => {
  return (endpoint, amount) => told(endpoint, slowDown, 429, headersOf(amount));
};

const atSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1_000);

/** The vendors' errors for an account without credit; none of them names a useful wait. */
const spentWords: Readonly<Record<WireName, { status: number; body: object }>> = {
  'openai-chat': { status: 429, body: openAiSpent() },
  'openai-responses': { status: 429, body: openAiSpent() },
  anthropic: {
    status: 400,
    body: {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.',
      },
    },
  },
  gemini: {
    status: 429,
    body: {
      error: {
        code: 429,
        message: 'You exceeded your current quota, please check your plan and billing details.',
        status: 'RESOURCE_EXHAUSTED',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
          },
          // Gemini names a wait here, although the daily limit isn't reset by then.
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '20s' },
        ],
      },
    },
  },
  ollama: { status: 402, body: { error: 'this account has insufficient credits' } },
};

function openAiSpent(): object {
  const message = 'You exceeded your current quota, please check your plan and billing details.';
  return { error: { message, type: 'insufficient_quota', param: null, code: 'insufficient_quota' } };
}

const refusals: Readonly<Partial<Record<FaultName, Refuse>>> = {
  limited: limited(() => ({})),
  'limited-retry-after': limited((seconds) => ({ 'retry-after': String(seconds) })),
  'limited-retry-after-date': limited((seconds) => ({ 'retry-after': atSeconds(seconds).toUTCString() })),
  // Vendors also send the older header, which is less precise.
  'limited-retry-after-ms': limited((ms) => ({ 'retry-after-ms': String(ms), 'retry-after': '60' })),
  'limited-reset': limited((seconds) => ({
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-reset-requests': `${seconds}s`,
    'x-ratelimit-remaining-tokens': '149984',
    'x-ratelimit-reset-tokens': '6m0s',
  })),
  'limited-reset-date': limited((seconds) => ({
    'anthropic-ratelimit-requests-remaining': '0',
    'anthropic-ratelimit-requests-reset': atSeconds(seconds).toISOString(),
  })),
  'limited-retry-info': (_endpoint, seconds) => ({
    status: 429,
    headers: json,
    body: {
      error: {
        code: 429,
        message: 'Resource has been exhausted.',
        status: 'RESOURCE_EXHAUSTED',
        details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${seconds}s` }],
      },
    },
  }),
  'spend-limit': ({ wire }) => ({ headers: json, ...spentWords[wire] }),
  'refused-key': (endpoint) =>
    endpoint.wire === 'gemini'
      ? told(endpoint, new CoppiceError('invalid-request', 'API key not valid. Please pass a valid API key.'), 400)
      : told(endpoint, refusal('permission-denied', 401, 'Incorrect API key provided.'), 401),
  'http-500': (endpoint) => told(endpoint, failed(500, 'The server had an error.'), 500),
  'http-502': () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>502 Bad Gateway</h1>' }),
  'http-503': (endpoint) => told(endpoint, failed(503, 'The service is unavailable.'), 503),
  'http-529': (endpoint) => told(endpoint, failed(529, 'Overloaded'), 529),
  'wrong-content-type': () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome</h1>' }),
  redirect: () => ({ status: 307, headers: { location: 'https://example.com/' }, body: '' }),
};

/** Null for a fault that isn't an error response. */
export const refusalOf = ({ fault, amount }: Scenario, endpoint: Endpoint): Refusal | null =>
  refusals[fault]?.(endpoint, amount ?? 0) ?? null;
