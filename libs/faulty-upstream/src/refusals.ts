/** The error responses. They state a wait in all the ways that vendors use. */
import type { FaultName, Scenario } from './faults.ts';
import type { Format } from './format.ts';

export type Refusal = { status: number; headers: Record<string, string>; body: object | string };
type Refuse = (format: Format, amount: number) => Refusal;

const json = { 'content-type': 'application/json' };

export const refusal = (
  format: Format,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Refusal => ({
  status,
  headers: { ...json, ...headers },
  body: format.error(status, message),
});

const failed =
  (status: number, message: string): Refuse =>
  (format) =>
    refusal(format, status, message);

const limited =
  (headersOf: (amount: number) => Record<string, string>): Refuse =>
  (format, amount) =>
    refusal(format, 429, 'Too many requests: slow down.', headersOf(amount));

const atSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1_000);

const page = (status: number, body: string): Refusal => ({ status, headers: { 'content-type': 'text/html' }, body });

const refusals: Readonly<Partial<Record<FaultName, Refuse>>> = {
  limited: limited(() => ({})),
  'limited-retry-after': limited((seconds) => ({ 'retry-after': String(seconds) })),
  'limited-retry-after-date': limited((seconds) => ({ 'retry-after': atSeconds(seconds).toUTCString() })),
  // Vendors also send the older header `retry-after`, so a client must prefer `retry-after-ms`.
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
  'limited-retry-info': (_format, seconds) => ({
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
  'spend-limit': ({ spent }) => ({ headers: json, ...spent }),
  'refused-key': ({ refusedKey }) => ({ headers: json, ...refusedKey }),
  'http-500': failed(500, 'The server had an error.'),
  'http-502': () => page(502, '<h1>502 Bad Gateway</h1>'),
  'http-503': failed(503, 'The service is unavailable.'),
  'http-529': failed(529, 'Overloaded'),
  'wrong-content-type': () => page(200, '<h1>Welcome</h1>'),
  redirect: () => ({ status: 307, headers: { location: 'https://example.com/' }, body: '' }),
};

export const refusalOf = ({ fault, amount }: Scenario, format: Format): Refusal | null =>
  refusals[fault]?.(format, amount ?? 0) ?? null;
