/**
 * The stored account of one budget, and the pure function that changes it. `budgets.ts` reads the account, and writes
 * it by compare-and-set.
 *
 * Invariants:
 * 1. `spent` plus all leases doesn't exceed the limit. The exceptions are calls that use more than they reserved, and
 *    calls in flight of a holder whose lease has expired.
 * 2. A holder's reservations and unreported usage fit in its lease.
 * 3. When a lease expires, its amount is free again, except the part that was reserved at the holder's last write. This
 *    part counts as spent, since the actual usage is unknown.
 * 4. A holder may write after its lease expired, for example if its host was suspended. It is then charged its actual
 *    usage instead of that part. `ended` keeps the part for this correction, within `accountLimits`. If `ended` no
 *    longer has it, the holder is charged both amounts.
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
      /** Milliseconds since 1970, by the holder's clock. The clocks of all hosts must agree within seconds. */
      endsAtMs: z.int(),
      /** Number of the holder's last change. */
      turnover: z.int().nonnegative(),
    }),
  ),
  /** Expired leases, by holder. Data from earlier versions lacks this field. */
  ended: z
    .record(
      z.string(),
      z.object({
        /** Amount that the holder had reserved at its last write. It is included in the account's `spent`. */
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

/** Change by a holder, which reports its usage and may request an amount. */
export type Turnover = {
  holder: string;
  number: number;
  limit: Amount;
  /** Usage since the holder's last report. */
  used: Amount;
  /** Amount that the holder's calls in flight have reserved. */
  reserved: Amount;
  /** Amount for one more call. Null if the holder only reports usage. */
  wanted: Amount | null;
  /** True if the lease also gets a spare amount for later calls. */
  ahead: boolean;
  nowMs: number;
  leaseMs: number;
};

/**
 * `lease` is the amount that the holder may use from now on, including its reservations. `free` is the largest amount
 * that can be granted. It is negative if calls used more than they reserved.
 */
export type Outcome = { account: Account; lease: Amount; free: Amount; granted: boolean };

/**
 * A spare amount is at most these fractions of the limit and of the free amount. It shrinks with the free amount, so
 * that no holder keeps the rest of a budget for long.
 */
const partOfLimit = 1 / 32;
const partOfFree = 1 / 8;

/** Reservations of expired leases count as used. */
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
  // `plus` caps its result, so the sum may be smaller than `returned`. `scaled` then returns 0.
  const spent = scaled(minus(sumOf([account.spent, used, lost]), returned), 1);
  const held = sumOf(living.map(([, { amount }]) => amount));
  const free = minus(minus(minus(limit, spent), held), reserved);
  const granted = wanted === null || fits(wanted, free);
  const committed = granted && wanted !== null ? plus(reserved, wanted) : reserved;
  const spare = granted && ahead ? spareOf(limit, minus(free, wanted ?? nothing)) : nothing;
  const amount = plus(committed, spare);
  const leases = Object.fromEntries(living);
  // A holder that reports usage gets an entry, even if its lease is empty. If the confirmation of this write is lost,
  // the entry's `turnover` shows that the write succeeded.
  if (!isNothing(amount) || !isNothing(used))
    leases[holder] = { amount, reserved: committed, endsAtMs: nowMs + leaseMs, turnover: number };
  return { account: { spent, leases, ended: endedOf(account, turnover, ended) }, lease: amount, free, granted };
}

/** Returns the newest ended leases of all other holders. */
function endedOf(account: Account, { holder, nowMs }: Turnover, now: Leases): Account['ended'] {
  const added = now.map(
    ([name, { reserved, endsAtMs, turnover }]) => [name, { reserved, endsAtMs, turnover }] as const,
  );
  const all = Object.entries({ ...account.ended, ...Object.fromEntries(added) });
  const kept = all.filter(([name, { endsAtMs }]) => name !== holder && nowMs - endsAtMs < accountLimits.endedMs);
  const newestFirst = kept.toSorted(([, one], [, other]) => other.endsAtMs - one.endsAtMs);
  return Object.fromEntries(newestFirst.slice(0, accountLimits.endedMax));
}

function spareOf(limit: Amount, free: Amount): Amount {
  const finite = (amount: Amount): Amount => ({
    tokens: Number.isFinite(limit.tokens) ? amount.tokens : 0,
    nanoUsd: Number.isFinite(limit.nanoUsd) ? amount.nanoUsd : 0,
  });
  return least(scaled(finite(limit), partOfLimit), scaled(finite(free), partOfFree));
}
