import type { CoppiceError } from '@coppice/contracts';
import { minus, nothing, plus, scaled } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budget.ts';

/** Age after which a lease is renewed before more of it is reserved. */
const renewMs = 10_000;

/** The state of an account in this process. */
export type Known = {
  budget: Budget;
  /** Leased amount, including reservations and unwritten usage. */
  lease: Amount;
  leasedAtMs: number;
  reserved: Amount;
  /** Value of `reserved` at the last write. */
  reportedReserved: Amount;
  /** Settled usage that isn't written yet. */
  used: Amount;
  /** Number of calls that aren't settled. */
  calls: number;
  lastCallAtMs: number;
  /**
   * Usage in writes whose outcome is unknown, by write number. Each write was based on a revision without the earlier
   * ones, so at most one of them succeeded.
   */
  doubts: Map<number, Amount>;
  /** Resolves after all changes requested so far have ended. */
  turn: Promise<unknown>;
  /** Number of changes that wait or run. */
  turns: number;
  /** Number of the latest requested change. */
  newestTurn: number;
  /**
   * Error of the last change that found the bucket unavailable. `newestTurn` is the number of the latest change
   * requested before that.
   */
  failure: { error: CoppiceError; newestTurn: number } | null;
};

export const unknown = (budget: Budget): Known => ({
  budget,
  lease: nothing,
  leasedAtMs: Number.NEGATIVE_INFINITY,
  reserved: nothing,
  reportedReserved: nothing,
  used: nothing,
  calls: 0,
  lastCallAtMs: 0,
  doubts: new Map(),
  turn: Promise.resolve(),
  turns: 0,
  newestTurn: 0,
  failure: null,
});

/**
 * Reports whether the lease is due for renewal. All times are from `elapsedMs()`, which also counts while the host is
 * suspended.
 */
export const isDue = ({ leasedAtMs }: Known, nowMs: number): boolean => nowMs - leasedAtMs > renewMs;

export function leaseCovers(known: Known, wanted: Amount, nowMs: number): boolean {
  // A write with unknown outcome may have returned the lease.
  if (isDue(known, nowMs) || known.doubts.size > 0) return false;
  const { budget, lease, reserved, used } = known;
  const available = minus(minus(lease, reserved), used);
  return (
    (budget.limit.tokens === undefined || wanted.tokens <= available.tokens) &&
    (budget.limit.costUsd === undefined || wanted.nanoUsd <= available.nanoUsd)
  );
}

export function take(known: Known, wanted: Amount, nowMs: number): void {
  known.lastCallAtMs = nowMs;
  known.reserved = plus(known.reserved, wanted);
  known.calls++;
}

export function release(known: Known, reserved: Amount, used: Amount): void {
  // `known.reserved` may be smaller than the released amount, since `plus` caps its result. `scaled` then returns 0.
  known.reserved = scaled(minus(known.reserved, reserved), 1);
  known.calls--;
  known.used = plus(known.used, used);
}

/**
 * Makes all waiting calls fail with this error. Otherwise each of them would in turn wait for the bucket until a
 * timeout.
 */
export function failWaiting(known: Known, error: CoppiceError): void {
  known.failure = { error, newestTurn: known.newestTurn };
}

/** Returns the error of a change that failed while this change waited. */
export const failureBefore = ({ failure }: Known, turn: number): CoppiceError | null =>
  failure !== null && turn <= failure.newestTurn ? failure.error : null;

/**
 * @param written number of the holder's last write that the account contains. If the outcome of that write was unknown,
 *   its usage isn't written again.
 */
export function resolveDoubts(known: Known, written: number | undefined): void {
  const confirmed = written === undefined ? undefined : known.doubts.get(written);
  if (confirmed === undefined) return;
  known.used = minus(known.used, confirmed);
  known.doubts.clear();
}
