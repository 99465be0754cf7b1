import type { CoppiceError } from '@coppice/contracts';
import { minus, nothing, plus, scaled } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budgets.ts';

/** A lease older than this is renewed before more of it is used. */
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
  /** Usage in writes whose outcome is unknown, by write number. At most one of them succeeded: a later write can only succeed if the earlier ones didn't. */
  doubts: Map<number, Amount>;
  /** Settles when all changes requested so far have ended. */
  turn: Promise<unknown>;
  /** Number of changes that haven't ended. */
  turns: number;
  /** Number of the latest requested change. */
  newestTurn: number;
  /** Error of the last change that failed because the bucket was unavailable, and the number of the latest change that was waiting at that time. */
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
 * Reports whether the lease is due for renewal. All times are from `elapsedMs()`, which also counts the time for which the host is suspended, since a lease can
 * end in that time, too.
 */
export const isDue = ({ leasedAtMs }: Known, nowMs: number): boolean => nowMs - leasedAtMs > renewMs;

/** Reports whether the lease has this amount left. */
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

/** Reserves an amount for a call. */
export function take(known: Known, wanted: Amount, nowMs: number): void {
  known.lastCallAtMs = nowMs;
  known.reserved = plus(known.reserved, wanted);
  known.calls++;
}

/** Releases the reservation of a call, and adds its usage. */
export function release(known: Known, reserved: Amount, used: Amount): void {
  // `plus` caps its result, so the released amount may be larger than `known.reserved`.
  known.reserved = scaled(minus(known.reserved, reserved), 1);
  known.calls--;
  known.used = plus(known.used, used);
}

/** Makes all waiting calls fail with this error. Otherwise they would wait for the bucket one after another, each until its own timeout. */
export function failWaiting(known: Known, error: CoppiceError): void {
  known.failure = { error, newestTurn: known.newestTurn };
}

/** Returns the error of a change that failed while this change waited; null if none failed. */
export const failureBefore = ({ failure }: Known, turn: number): CoppiceError | null =>
  failure !== null && turn <= failure.newestTurn ? failure.error : null;

/** Resolves writes with unknown outcome. If the account shows that one succeeded, its usage isn't written again. */
export function resolveDoubts(known: Known, written: number | undefined): void {
  const confirmed = written === undefined ? undefined : known.doubts.get(written);
  if (confirmed === undefined) return;
  known.used = minus(known.used, confirmed);
  known.doubts.clear();
}
