/**
 * The stored account of one budget, and the pure function that changes it. `budgets.ts` reads the account, and writes it by compare-and-set.
 *
 * Invariants:
 * 1. `spent` plus all leases never exceeds the limit, except by usage beyond a reservation, and by calls in flight of a holder that writes after its lease
 *    expired.
 * 2. A holder's reservations and unreported usage fit its lease.
 * 3. An expired lease is returned, except for the amount that its holder had reserved at its last write. That amount counts as spent, since the actual usage is
 *    unknown.
 * 4. A holder that writes after its lease expired (its host was suspended, or it was disconnected) is charged its actual usage instead. For this, `ended` keeps
 *    the estimated charge, for the time and the number of holders in `accountLimits`. A holder that writes later than that is charged both amounts.
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
      /** Milliseconds since 1970 on the holder's clock; the hosts' clocks agree within seconds. */
      endsAtMs: z.int(),
      /** Number of the holder's last change. */
      turnover: z.int().nonnegative(),
    }),
  ),
  /** Expired leases, by holder. Missing in data stored by earlier versions. */
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

/** One change that a holder makes: it reports usage, and may request an amount. */
export type Turnover = {
  holder: string;
  /** Number of this change of the holder. */
  number: number;
  limit: Amount;
  /** Usage since the holder's last report. */
  used: Amount;
  /** Amount that the holder's calls in flight have reserved. */
  reserved: Amount;
  /** Amount for one more call; null if the holder only reports usage. */
  wanted: Amount | null;
  /** True to lease a spare amount for later calls, too. */
  ahead: boolean;
  nowMs: number;
  leaseMs: number;
};

/**
 * `lease`: the amount that the holder may use from now on, including reservations. `free`: the amount that could be granted; negative if more was used than
 * reserved.
 */
export type Outcome = { account: Account; lease: Amount; free: Amount; granted: boolean };

/**
 * Spare lease: at most these fractions of the limit and of the free amount. It shrinks with the free amount, so that no holder keeps the rest of a budget for
 * long.
 */
const partOfLimit = 1 / 32;
const partOfFree = 1 / 8;

/** Returns the used amount, and the amount that calls in flight have reserved. */
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
  // `plus` caps its result, so the charge may be smaller than `returned`.
  const spent = scaled(minus(sumOf([account.spent, used, lost]), returned), 1);
  const held = sumOf(living.map(([, { amount }]) => amount));
  const free = minus(minus(minus(limit, spent), held), reserved);
  const granted = wanted === null || fits(wanted, free);
  const committed = granted && wanted !== null ? plus(reserved, wanted) : reserved;
  const spare = granted && ahead ? spareOf(limit, minus(free, wanted ?? nothing)) : nothing;
  const amount = plus(committed, spare);
  const leases = Object.fromEntries(living);
  // A holder that reported usage keeps its entry even without a lease. If the write's confirmation is lost, the entry's `turnover` shows that the write
  // succeeded.
  if (!isNothing(amount) || !isNothing(used))
    leases[holder] = { amount, reserved: committed, endsAtMs: nowMs + leaseMs, turnover: number };
  return { account: { spent, leases, ended: endedOf(account, turnover, ended) }, lease: amount, free, granted };
}

/** Returns the newest ended leases, without that of the holder that makes this change. */
function endedOf(account: Account, { holder, nowMs }: Turnover, now: Leases): Account['ended'] {
  const added = now.map(
    ([name, { reserved, endsAtMs, turnover }]) => [name, { reserved, endsAtMs, turnover }] as const,
  );
  const all = Object.entries({ ...account.ended, ...Object.fromEntries(added) });
  const kept = all.filter(([name, { endsAtMs }]) => name !== holder && nowMs - endsAtMs < accountLimits.endedMs);
  const newestFirst = kept.toSorted(([, one], [, other]) => other.endsAtMs - one.endsAtMs);
  return Object.fromEntries(newestFirst.slice(0, accountLimits.endedMax));
}

/** Returns the spare amount to lease: 0 for counts without a limit. */
function spareOf(limit: Amount, free: Amount): Amount {
  const finite = (amount: Amount): Amount => ({
    tokens: Number.isFinite(limit.tokens) ? amount.tokens : 0,
    nanoUsd: Number.isFinite(limit.nanoUsd) ? amount.nanoUsd : 0,
  });
  return least(scaled(finite(limit), partOfLimit), scaled(finite(free), partOfFree));
}
