/** What is right to make of each of the faulty upstream's faults. */
import type { ErrorCode } from '@coppice/contracts';
import { faultNames } from '../faulty-upstream/faults.ts';
import type { FaultName } from '../faulty-upstream/faults.ts';
import type { WireName } from '../provider/port.ts';

export type Expectation =
  | { kind: 'answer'; rescued: boolean }
  | {
      kind: 'error';
      /** Or after the first output. */
      when: 'before' | 'after';
      code: ErrorCode;
      retryable: boolean;
      /** At most; null where it is not told. */
      retryAfterMs: number | null;
      statusAt(door: WireName): number;
    };

/** Amounts that no wait of a test needs, but that can be told from one another. */
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

/** All, as they are told; and that no TLS can be spoken, which is an address's fault. */
export const matrixFaults: readonly string[] = [
  ...faultNames.map((name) => `${name}${amounts[name] ?? ''}`),
  'tls-error',
];

/** What is odd, and an answer all the same. */
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

/** Where the error itself tells no status in a wire's words, it is that of a gateway. */
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
    // Google's daily limits are limits that pass, though not soon.
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

/** The vendors' own words for "come again". */
function statusAt(door: WireName, status: number): number {
  if (door === 'anthropic' && status === 503) return 529;
  return door === 'gemini' && status === 529 ? 503 : status;
}

export function expectationOf(
  wire: WireName,
  fault: string,
  { stream, rescued }: { stream: boolean; rescued: boolean },
): Expectation {
  const complaint = complaintOf(wire, fault);
  // A whole answer may be as large as many events.
  if (complaint === null || (fault.startsWith('huge-chunk') && !stream)) return { kind: 'answer', rescued: false };
  const when = stream && fault.includes('after-output') ? 'after' : 'before';
  if (rescued && when === 'before') return { kind: 'answer', rescued: true };
  // In a whole answer that is no JSON nobody reads what the error said.
  const {
    code,
    retryable,
    status,
    retryAfterMs = null,
  } = !stream && fault.includes('after-output') ? passing : complaint;
  return { kind: 'error', when, code, retryable, retryAfterMs, statusAt: (door) => statusAt(door, status) };
}
