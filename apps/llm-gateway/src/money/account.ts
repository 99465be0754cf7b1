/**
 * The stored account of one budget, and the one change that is made to it. Pure: `budgets.ts` reads and writes it by compare-and-set.
 *
 * Invariants:
 * 1. `spent` and all leases together never exceed the limit, but by what calls used beyond what was reserved for them.
 * 2. A holder's reservations and what it has not told yet fit its lease.
 * 3. A lease that has run out comes back, but for what its holder had reserved when it last wrote: that counts as spent, since nobody can say any more.
 * 4. A holder that writes after that (its host was suspended, or it was cut off) is charged what it used instead: `ended` keeps what was charged for it, for a day and for as many
 *    holders as `accountLimits` says. One that returns later is charged both.
 */
import { z } from 'zod';
import { fits, isNothing, least, minus, nothing, plus, scaled, sumOf } from './amount.ts';
import type { Amount } from './amount.ts';

const amountSchema = z.object({ tokens: z.int().nonnegative(), nanoUsd: z.int().nonnegative() });

export const accountSchema = z.object({
  spent: amountSchema,
  /** By holder: a gateway process. */
  leases: z.record(
    z.string(),
    z.object({
      amount: amountSchema,
      /** Of the amount, what calls were in flight with. */
      reserved: amountSchema,
      /** Milliseconds since 1970, by the holder's clock: hosts' clocks agree within seconds. */
      endsAtMs: z.int(),
      /** The holder's last change, by its own count. */
      turnover: z.int().nonnegative(),
    }),
  ),
  /** Leases that ran out, by holder. Missing in what earlier versions stored. */
  ended: z
    .record(
      z.string(),
      z.object({
        /** Part of `spent`. */
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

/** What a holder tells, and asks for. */
export type Turnover = {
  holder: string;
  /** Counts the holder's changes. */
  number: number;
  limit: Amount;
  /** Used since it last told. */
  used: Amount;
  /** In flight. */
  reserved: Amount;
  /** For one more call; null where it only tells. */
  wanted: Amount | null;
  /** Whether it may keep some for the calls to come. */
  ahead: boolean;
  nowMs: number;
  leaseMs: number;
};

/** `lease`: what the holder may use from now on, reservations included. `free`: what could be granted; less than nothing where more was used than was reserved. */
export type Outcome = { account: Account; lease: Amount; free: Amount; granted: boolean };

/** A lease's part of the limit, and of what is free: the less there is, the smaller, so that the last of it is nobody's for long. */
const partOfLimit = 1 / 32;
const partOfFree = 1 / 8;

/** What is used, and what calls in flight have reserved. */
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
  // Sums are capped, so that less may have been charged.
  const spent = scaled(minus(sumOf([account.spent, used, lost]), returned), 1);
  const held = sumOf(living.map(([, { amount }]) => amount));
  const free = minus(minus(minus(limit, spent), held), reserved);
  const granted = wanted === null || fits(wanted, free);
  const committed = granted && wanted !== null ? plus(reserved, wanted) : reserved;
  const spare = granted && ahead ? spareOf(limit, minus(free, wanted ?? nothing)) : nothing;
  const amount = plus(committed, spare);
  const leases = Object.fromEntries(living);
  // Where something was told it stays for a while, so that a change whose confirmation got lost is known again.
  if (!isNothing(amount) || !isNothing(used))
    leases[holder] = { amount, reserved: committed, endsAtMs: nowMs + leaseMs, turnover: number };
  return { account: { spent, leases, ended: endedOf(account, turnover, ended) }, lease: amount, free, granted };
}

/** The newest of the ended leases, without that of a holder that is back. */
function endedOf(account: Account, { holder, nowMs }: Turnover, now: Leases): Account['ended'] {
  const added = now.map(
    ([name, { reserved, endsAtMs, turnover }]) => [name, { reserved, endsAtMs, turnover }] as const,
  );
  const all = Object.entries({ ...account.ended, ...Object.fromEntries(added) });
  const kept = all.filter(([name, { endsAtMs }]) => name !== holder && nowMs - endsAtMs < accountLimits.endedMs);
  const newestFirst = kept.toSorted(([, one], [, other]) => other.endsAtMs - one.endsAtMs);
  return Object.fromEntries(newestFirst.slice(0, accountLimits.endedMax));
}

/** What isn't limited isn't leased. */
function spareOf(limit: Amount, free: Amount): Amount {
  const finite = (amount: Amount): Amount => ({
    tokens: Number.isFinite(limit.tokens) ? amount.tokens : 0,
    nanoUsd: Number.isFinite(limit.nanoUsd) ? amount.nanoUsd : 0,
  });
  return least(scaled(finite(limit), partOfLimit), scaled(finite(free), partOfFree));
}
