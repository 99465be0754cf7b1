import type { CoppiceError } from '@coppice/contracts';
import { minus, nothing, plus, scaled } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget } from './budgets.ts';

/** A lease of this age is renewed before more of it is used. */
const renewMs = 10_000;

/** An account as this process knows it. */
export type Known = {
  budget: Budget;
  /** May be used, reservations and what isn't told yet included. */
  lease: Amount;
  leasedAtMs: number;
  reserved: Amount;
  /** Of `reserved`, what was written last. */
  toldReserved: Amount;
  /** Settled and not told yet. */
  used: Amount;
  /** Calls that aren't settled. */
  calls: number;
  lastCallAtMs: number;
  /** By number, what the changes told of which it isn't known whether they were written, or will be yet. At most one was: each rules out those before it. */
  doubts: Map<number, Amount>;
  /** Ends when the changes before are done. */
  turn: Promise<unknown>;
  /** Changes that aren't done. */
  turns: number;
  /** Counts the turns that were asked for. */
  newestTurn: number;
  /** The last change that the bucket didn't take, and the newest turn that waited by then. */
  failure: { error: CoppiceError; newestTurn: number } | null;
};

export const unknown = (budget: Budget): Known => ({
  budget,
  lease: nothing,
  leasedAtMs: Number.NEGATIVE_INFINITY,
  reserved: nothing,
  toldReserved: nothing,
  used: nothing,
  calls: 0,
  lastCallAtMs: 0,
  doubts: new Map(),
  turn: Promise.resolve(),
  turns: 0,
  newestTurn: 0,
  failure: null,
});

/** Reports whether the lease is due for renewal. All times are by `elapsedMs()`, since a lease also ends while its host is suspended. */
export const isDue = ({ leasedAtMs }: Known, nowMs: number): boolean => nowMs - leasedAtMs > renewMs;

/** Whether the lease has so much left. */
export function hasAtHand(known: Known, wanted: Amount, nowMs: number): boolean {
  // A change in doubt may have given the lease back.
  if (isDue(known, nowMs) || known.doubts.size > 0) return false;
  const { budget, lease, reserved, used } = known;
  const atHand = minus(minus(lease, reserved), used);
  return (
    (budget.limit.tokens === undefined || wanted.tokens <= atHand.tokens) &&
    (budget.limit.costUsd === undefined || wanted.nanoUsd <= atHand.nanoUsd)
  );
}

/** For a call. */
export function take(known: Known, wanted: Amount, nowMs: number): void {
  known.lastCallAtMs = nowMs;
  known.reserved = plus(known.reserved, wanted);
  known.calls++;
}

/** What a call took, of which it used so much. */
export function release(known: Known, reserved: Amount, used: Amount): void {
  // Sums are capped, so that what is given back may be more than what they hold.
  known.reserved = scaled(minus(known.reserved, reserved), 1);
  known.calls--;
  known.used = plus(known.used, used);
}

/** All that wait fail with it: each would ask as long as it did, one after the other. */
export function failWaiting(known: Known, error: CoppiceError): void {
  known.failure = { error, newestTurn: known.newestTurn };
}

/** Of a change before it, while this turn waited; null for none. */
export const failureBefore = ({ failure }: Known, turn: number): CoppiceError | null =>
  failure !== null && turn <= failure.newestTurn ? failure.error : null;

/** Where a change was written whose confirmation got lost, what it told isn't told again. */
export function resolveDoubts(known: Known, written: number | undefined): void {
  const told = written === undefined ? undefined : known.doubts.get(written);
  if (told === undefined) return;
  known.used = minus(known.used, told);
  known.doubts.clear();
}
