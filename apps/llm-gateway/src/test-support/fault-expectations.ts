/** Expected result of a call for each fault of the faulty upstream. */
import type { ErrorCode } from '@coppice/contracts';
import { faultNames } from '@coppice/faulty-upstream';
import type { FaultName } from '@coppice/faulty-upstream';
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { WireName } from '../provider/port.ts';

export type Expectation =
  | { kind: 'answer'; rescued: boolean }
  | {
      kind: 'error';
      /** Position of the error, relative to the first output. */
      when: 'before' | 'after';
      code: ErrorCode;
      retryable: boolean;
      /** Longest wait that the error may report. Null if it must not report one. */
      retryAfterMs: number | null;
      statusAt(endpoint: EndpointFormat): number;
    };

/**
 * Parameters of the faults. Each rate limit reports a different wait, so that a test can recognise it. No test waits
 * that long.
 */
const amounts: Readonly<Partial<Record<FaultName, string>>> = {
  latency: '@20',
  paced: '@2',
  'limited-retry-after': '@601',
  'limited-retry-after-date': '@602',
  'limited-retry-after-ms': '@603000',
  'limited-reset': '@604',
  'limited-reset-date': '@605',
  'limited-retry-info': '@606',
  'cut-after-output': '@0',
  'huge-chunk': '@17825792',
};

/** All faults with their amounts. `tls-error` stands for an address whose TLS handshake fails. */
export const matrixFaults: readonly string[] = [
  ...faultNames.map((name) => `${name}${amounts[name] ?? ''}`),
  'tls-error',
];

/** Reports whether the upstream gives a correct answer despite the fault. */
export const isOdd = (fault: string): boolean => ['healthy', 'paced@2', 'slow-drip', 'latency@20'].includes(fault);

type Complaint = { code: ErrorCode; retryable: boolean; status: number; retryAfterMs?: number };
const passing: Complaint = { code: 'provider-failed', retryable: true, status: 502 };
const lasting: Complaint = { ...passing, retryable: false };
const limited = (retryAfterMs?: number): Complaint => ({
  code: 'provider-limited',
  retryable: true,
  status: 429,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
const withStatus = (status: number): Complaint => ({ ...passing, status });

/** HTTP status for an overload error inside a stream. It is 502 for wire formats whose error has no status. */
const overloadedStatus: Readonly<Partial<Record<WireName, number>>> = { anthropic: 529, gemini: 503 };

function complaintOf(wire: WireName, fault: string): Complaint | null {
  const overloaded = withStatus(overloadedStatus[wire] ?? 502);
  const complaints: Readonly<Record<string, Complaint>> = {
    limited: limited(),
    'limited-retry-after@601': limited(601_000),
    'limited-retry-after-date@602': limited(602_000),
    'limited-retry-after-ms@603000': limited(603_000),
    'limited-reset@604': limited(604_000),
    'limited-reset-date@605': limited(605_000),
    'limited-retry-info@606': limited(606_000),
    // Google reports a daily limit as a rate limit, but it isn't retryable.
    'spend-limit': wire === 'gemini' ? { ...limited(), retryable: false } : lasting,
    'refused-key': lasting,
    'http-500': withStatus(500),
    'http-502': withStatus(502),
    'http-503': withStatus(503),
    'http-529': withStatus(529),
    'overloaded-before-output': overloaded,
    'overloaded-after-output': overloaded,
    'huge-chunk@17825792': lasting,
    'wrong-content-type': lasting,
    redirect: lasting,
  };
  return isOdd(fault) ? null : (complaints[fault] ?? passing);
}

/** Replaces the status of a temporary overload by the status that the endpoint's vendor uses for it. */
function statusAt(endpoint: EndpointFormat, status: number): number {
  if (endpoint === 'anthropic' && status === 503) return 529;
  return endpoint === 'gemini' && status === 529 ? 503 : status;
}

export function expectationOf(
  wire: WireName,
  fault: string,
  { stream, rescued }: { stream: boolean; rescued: boolean },
): Expectation {
  const complaint = complaintOf(wire, fault);
  // The size limit of an unstreamed answer is higher than that of one event.
  if (complaint === null || (fault.startsWith('huge-chunk') && !stream)) return { kind: 'answer', rescued: false };
  const when = stream && fault.includes('after-output') ? 'after' : 'before';
  if (rescued && when === 'before') return { kind: 'answer', rescued: true };
  // An unstreamed answer is invalid JSON in this case, so the error in it can't be read.
  const {
    code,
    retryable,
    status,
    retryAfterMs = null,
  } = !stream && fault.includes('after-output') ? passing : complaint;
  return { kind: 'error', when, code, retryable, retryAfterMs, statusAt: (endpoint) => statusAt(endpoint, status) };
}
