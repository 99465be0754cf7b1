/**
 * The stored account of one budget, and the pure function {@link settle} that changes it.
 *
 * Invariants:
 * 1. `spent` plus all leases never exceeds the limit, with two exceptions. A call may use more than it reserved. A
 *    holder may write after its lease expired, while its calls still hold reservations.
 * 2. The reservations and the unreported usage of a holder are together at most its lease, unless a call used more than
 *    it reserved.
 * 3. An expired lease returns to the budget, except for the amount that its holder had reserved at its last write. That
 *    amount counts as spent, since the actual usage of the calls is unknown.
 * 4. If a holder writes after its lease expired, for example because its host was suspended, its actual usage replaces
 *    that charge. `ended` stores these charges, up to the age and the number in `accountLimits`. A holder whose entry
 *    was already deleted is charged both amounts.
 */
import { z } from 'zod';
import { fits, isNothing, least, minus, nothing, plus, scaled, sumOf } from './amount.ts';
import type { Amount } from './amount.ts';

const amountSchema = z.object({ tokens: z.int().nonnegative(), nanoUsd: z.int().nonnegative() });

export const accountSchema = z.object({
  spent: amountSchema,
  /** Leases by holder. A holder is a gateway process. */
  leases: z.record(
    z.string(),
    z.object({
      amount: amountSchema,
      /** Part of `amount` that calls in flight have reserved. */
      reserved: amountSchema,
      /** Milliseconds since 1970 on the holder's clock. The clocks of all hosts must agree within seconds. */
      endsAtMs: z.int(),
      /** Number of the holder's last change. */
      turnover: z.int().nonnegative(),
    }),
  ),
  /** Expired leases by holder. Earlier versions didn't store this field. */
  ended: z
    .record(
      z.string(),
      z.object({
        /** Amount reserved at the holder's last write. The account's `spent` includes it. */
        reserved: amountSchema,
        endsAtMs: z.int(),
        turnover: z.int().nonnegative(),
      }),
    )
    .default({}),
});
export type Account = z.output<typeof accountSchema>;
type Leases = [string, Account['leases'][string]][];

export const emptyAccount: Account = { spent: nothing, leases: {}, ended: {} };

export const accountLimits = { endedMs: 24 * 3_600_000, endedMax: 16 } as const;

export const isEmpty = ({ spent, leases }: Account): boolean => isNothing(spent) && Object.keys(leases).length === 0;

/** One change of an account by a holder. */
export type Turnover = {
  holder: string;
  /** Number of this change. A holder uses each number once. */
  number: number;
  limit: Amount;
  /** Usage since the holder's last report. */
  used: Amount;
  reserved: Amount;
  /** Amount requested for one more call. Null if the holder only reports usage. */
  wanted: Amount | null;
  /** True to also request a spare amount for later calls. */
  ahead: boolean;
  nowMs: number;
  leaseMs: number;
};

/**
 * `lease` is the amount that the holder has from now on, including its reservations. `free` is the largest amount that
 * this change could grant. It is negative if calls used more than they reserved.
 */
export type Outcome = { account: Account; lease: Amount; free: Amount; granted: boolean };

/**
 * Upper bounds of a spare amount, as fractions of the limit and of the free amount. The spare amount shrinks with the
 * free amount, so that no holder keeps the rest of a budget from the others.
 */
const partOfLimit = 1 / 32;
const partOfFree = 1 / 8;

/** Counts the reservations of expired leases as used. */
export function standOf({ spent, leases }: Account, nowMs: number): { used: Amount; reserved: Amount } {
  const all = Object.values(leases);
  const reservedOf = (some: typeof all) => sumOf(some.map(({ reserved }) => reserved));
  return {
    used: plus(spent, reservedOf(all.filter(({ endsAtMs }) => endsAtMs < nowMs))),
    reserved: reservedOf(all.filter(({ endsAtMs }) => endsAtMs >= nowMs)),
  };
}

export function settle(account: Account, turnover: Turnover): Outcome {
  const { holder, number, limit, used, reserved, wanted, ahead, nowMs, leaseMs } = turnover;
  const others = Object.entries(account.leases).filter(([name]) => name !== holder);
  const ended = others.filter(([, { endsAtMs }]) => endsAtMs < nowMs);
  const living = others.filter(([, { endsAtMs }]) => endsAtMs >= nowMs);
  const lost = sumOf(ended.map(([, lease]) => lease.reserved));
  const returned = account.ended[holder]?.reserved ?? nothing;
  // The sum may be smaller than `returned`, since `plus` caps its result. `scaled` then returns 0.
  const spent = scaled(minus(sumOf([account.spent, used, lost]), returned), 1);
  const held = sumOf(living.map(([, { amount }]) => amount));
  const free = minus(minus(minus(limit, spent), held), reserved);
  const granted = wanted === null || fits(wanted, free);
  const committed = granted && wanted !== null ? plus(reserved, wanted) : reserved;
  const spare = granted && ahead ? spareOf(limit, minus(free, wanted ?? nothing)) : nothing;
  const amount = plus(committed, spare);
  const leases = Object.fromEntries(living);
  // A holder that reported usage keeps its entry even if its lease is 0. If the confirmation of this write is lost, the
  // entry's `turnover` shows that the write succeeded.
  if (!isNothing(amount) || !isNothing(used))
    leases[holder] = { amount, reserved: committed, endsAtMs: nowMs + leaseMs, turnover: number };
  return { account: { spent, leases, ended: endedOf(account, turnover, ended) }, lease: amount, free, granted };
}

/** Returns the newest expired leases of the other holders. */
function endedOf(account: Account, { holder, nowMs }: Turnover, now: Leases): Account['ended'] {
  const added = now.map(
    ([name, { reserved, endsAtMs, turnover }]) => [name, { reserved, endsAtMs, turnover }] as const,
  );
  const all = Object.entries({ ...account.ended, ...Object.fromEntries(added) });
  const kept = all.filter(([name, { endsAtMs }]) => name !== holder && nowMs - endsAtMs < accountLimits.endedMs);
  const newestFirst = kept.toSorted(([, one], [, other]) => other.endsAtMs - one.endsAtMs);
  return Object.fromEntries(newestFirst.slice(0, accountLimits.endedMax));
}

/** Returns 0 for counts without a limit. */
function spareOf(limit: Amount, free: Amount): Amount {
  const finite = (amount: Amount): Amount => ({
    tokens: Number.isFinite(limit.tokens) ? amount.tokens : 0,
    nanoUsd: Number.isFinite(limit.nanoUsd) ? amount.nanoUsd : 0,
  });
  return least(scaled(finite(limit), partOfLimit), scaled(finite(free), partOfFree));
}
