/**
 * Budgets shared by many gateway processes: reserved before a call, settled after it.
 *
 * Collaborators: the bucket `coppice-budgets`, one value per budget (account.ts); the other gateways. A gateway requests over core NATS that the others return
 * amounts that they don't need.
 *
 * Invariants:
 * 1. A call starts only after its maximum usage is reserved in all its budgets. A reservation is settled once, whatever the outcome of the call. A call that is
 *    aborted while it waits stops waiting; an amount that is reserved for it afterwards is released.
 * 2. The amounts that a process reserves without I/O fit its stored lease. A lease that couldn't be renewed in time isn't used.
 * 3. In one process, the changes of one account run one after another; between processes, the compare-and-set decides. A call waits for other calls only during
 *    such a change. If a change fails because the bucket is unavailable, the calls that wait for the account fail, too, unless the lease is large enough for
 *    them. Later calls try again.
 * 4. Nothing is written for an account without usage or reservations, so a rejected call leaves no data. Nor is anything written for a budget of one call,
 *    which only one process uses.
 * 5. Settled usage is written within `writeIntervalMs`, and when the process stops. If the process is killed, the usage of that time is not reported, and
 *    invariant 3 of account.ts applies.
 * 6. An account is removed from memory only when none of its calls is unsettled and everything is written. So no call settles on a removed account.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RevisionConflict, elapsedMs } from '@coppice/bus';
import type { Bus, KeyValueEntry } from '@coppice/bus';
import { CoppiceError, buckets, subjects } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { accountSchema, emptyAccount, isEmpty, settle, standOf } from './account.ts';
import type { Account, Outcome } from './account.ts';
import { amountOf, fits, isNothing, minus, nothing } from './amount.ts';
import type { Amount, AmountLimit } from './amount.ts';
import {
  failWaiting,
  failureBefore,
  leaseCovers,
  isDue,
  release,
  resolveDoubts,
  take,
  unknown,
} from './local-account.ts';
import type { Known } from './local-account.ts';
import { unlessAborted } from '../awaiting.ts';
import { shortageAlone, shortageError } from './shortage.ts';
import type { Shortage } from './shortage.ts';

export type Budget = {
  /** The key in the bucket; its first token is the kind of budget. */
  key: string;
  /** The name in errors: `task t1`, `tenant acme in 2026-11`. */
  name: string;
  limit: AmountLimit;
  /** Time without a write after which the bucket deletes it; null for never. */
  forgottenAfterMs: number | null;
  /** True if only one call uses this budget. It is then kept in memory only, by the identity of this object, and freed with the object. */
  ofOneCall?: boolean;
};

export type Reservation = {
  /** Reports the usage of the call, or `nothing`. Only the first settlement counts. */
  settle(used: Amount): void;
};

/** The rules by which a call accepts less than the wanted amount. */
type Less = {
  /** The smallest acceptable amount. */
  least: Amount;
  /** Returns the amount to reserve if only `free` is left. `why` is the error for the full amount. */
  within(free: Amount, why: CoppiceError): Amount;
  /** True if the call accepts less only when no call in flight can return a part of its reservation. */
  patient: boolean;
};

const budgetLimits = {
  /** Lifetime of a lease that isn't renewed. */
  leaseMs: 30_000,
  /** Longest time between the settlement of usage and its write. */
  writeIntervalMs: 1_000,
  /** An account without calls for this long returns its lease. */
  idleMs: 5_000,
  writesMax: 200,
  /** Writes with unknown outcome that are remembered per account. */
  doubtsMax: 100,
  /**
   * Longest wait for amounts that other gateways return. The call occupies its slot at the provider during this wait. If it has to wait longer, until calls in
   * flight end, it releases the slot and is retried.
   */
  elsewhereMsMax: 1_000,
  /** First pause between two tries; each further pause is twice as long. */
  elsewherePauseMs: 50,
  /** Number of times that one call tries a smaller amount, since other calls may take that amount first. */
  lessMax: 3,
} as const;

export class Budgets {
  readonly #bus: Bus;
  readonly #holder: string;
  readonly #known = new Map<string, Known>();
  readonly #ofOneCall = new WeakMap<Budget, Known>();
  readonly #log = createLogger('llm-gateway');
  readonly #wanted: { unsubscribe(): void };
  readonly #timer: NodeJS.Timeout;
  /** Number of the last attempted change. It is shared by all accounts, so that an account that was removed and loaded again doesn't reuse numbers. */
  #turnovers = 0;

  /** @param holder unique name of this process */
  constructor(bus: Bus, holder: string) {
    this.#bus = bus;
    this.#holder = holder;
    this.#wanted = bus.subscribeCore(subjects.gatewayBudgetWanted, (data) => this.#giveBack(data));
    this.#timer = setInterval(() => this.#writeAll(), budgetLimits.writeIntervalMs);
    this.#timer.unref();
  }

  /**
   * Reserves the wanted amount, or the smaller one that `less` returns, in all budgets or in none.
   * @param signal ends every wait; ignored if the local leases are large enough
   * @throws CoppiceError with `details.budget` if one of the budgets is too small: `limit-exceeded`, or `provider-limited` with `details.retryAfterMs`
   *   if it may be large enough after calls in flight end; `unavailable` if the bucket can't be reached. The signal's reason.
   */
  async reserve(
    budgets: readonly Budget[],
    wanted: Amount,
    less: Less | null = null,
    signal?: AbortSignal,
  ): Promise<Reservation> {
    let endsAtMs: number | null = null;
    const sorted = budgets.toSorted((one, other) => (one.key < other.key ? -1 : 1));
    let amount = wanted;
    let tries = 0;
    for (let pauseMs: number = budgetLimits.elsewherePauseMs; ; pauseMs *= 2) {
      const taken = await this.#takeAll(sorted, amount, signal);
      if (Array.isArray(taken)) return reservationOf(taken, amount);
      const { budget, free, left } = taken;
      const least = less?.least ?? amount;
      const nowMs = elapsedMs();
      endsAtMs ??= nowMs + budgetLimits.elsewhereMsMax;
      const isLate = nowMs >= endsAtMs;
      const wouldFit = fits(amount, left);
      const makesDo = less?.patient === true ? !wouldFit && fits(left, free) : !wouldFit || isLate;
      if (less !== null && makesDo && fits(least, free) && tries++ < budgetLimits.lessMax) {
        amount = less.within(free, shortageError(taken, amount, false));
        continue;
      }
      const forNow = fits(least, left);
      if (isLate || !forNow) throw shortageError(taken, fits(least, free) ? amount : least, forNow);
      // Other gateways may return what they don't need, and calls in flight may use less than they reserved.
      this.#bus.publishCore(subjects.gatewayBudgetWanted, { key: budget.key, holder: this.#holder });
      const untilMs = Math.max(1, Math.min(pauseMs, endsAtMs - elapsedMs()));
      await sleep(untilMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
      amount = wanted;
    }
  }

  /** Returns the usage of each budget, and the amount that calls in flight have reserved. @throws CoppiceError `unavailable`. */
  async look(budgets: readonly Budget[]): Promise<{ budget: Budget; used: Amount; reserved: Amount }[]> {
    return Promise.all(
      budgets.map(async (budget) => {
        const entry = await this.#read(budget);
        const account = entry === null ? emptyAccount : parsed(entry.value, budget);
        return { budget, ...standOf(account, Date.now()) };
      }),
    );
  }

  /** Writes all usage and returns all leases. The amounts of calls in flight stay reserved until the lease ends. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#wanted.unsubscribe();
    await Promise.all([...this.#known.values()].map((known) => this.#inTurn(known, () => this.#write(known, false))));
  }

  #account(budget: Budget): Known {
    if (budget.ofOneCall === true) {
      const own = this.#ofOneCall.get(budget) ?? unknown(budget);
      this.#ofOneCall.set(budget, own);
      return own;
    }
    const known = this.#known.get(budget.key) ?? unknown(budget);
    // The configured limit may have changed.
    known.budget = budget;
    this.#known.set(budget.key, known);
    return known;
  }

  async #takeAll(
    budgets: readonly Budget[],
    wanted: Amount,
    signal: AbortSignal | undefined,
  ): Promise<Known[] | Shortage> {
    const taken: Known[] = [];
    let shortage: Shortage | null = null;
    try {
      for (const budget of budgets) {
        const known = this.#account(budget);
        if (!this.#takeFromLease(known, wanted)) shortage = await this.#take(known, wanted, signal);
        if (shortage !== null) break;
        taken.push(known);
      }
    } catch (error) {
      for (const known of taken) release(known, wanted, nothing);
      throw error;
    }
    if (shortage === null) return taken;
    for (const known of taken) release(known, wanted, nothing);
    return shortage;
  }

  /** Takes the amount from the local lease, if it is large enough. The common case; no I/O. */
  #takeFromLease(known: Known, wanted: Amount): boolean {
    const nowMs = elapsedMs();
    if (known.turns > 0 || known.budget.ofOneCall === true || !leaseCovers(known, wanted, nowMs)) return false;
    take(known, wanted, nowMs);
    return true;
  }

  async #take(known: Known, wanted: Amount, signal: AbortSignal | undefined): Promise<Shortage | null> {
    if (known.budget.ofOneCall === true) return takeAlone(known, wanted);
    signal?.throwIfAborted();
    const taking = this.#inTurn(known, async (turn) => {
      // A call that was aborted while it waited must not cause a request to the bucket.
      signal?.throwIfAborted();
      const shortage = await this.#shortage(known, wanted, turn);
      if (shortage === null) take(known, wanted, elapsedMs());
      else known.lastCallAtMs = elapsedMs();
      return shortage;
    });
    return unlessAborted(taking, signal, (shortage) => {
      if (shortage === null) release(known, wanted, nothing);
    });
  }

  async #shortage(known: Known, wanted: Amount, turn: number): Promise<Shortage | null> {
    if (leaseCovers(known, wanted, elapsedMs())) return null;
    const failure = failureBefore(known, turn);
    if (failure !== null) throw failure;
    return this.#requestLease(known, wanted);
  }

  async #requestLease(known: Known, wanted: Amount): Promise<Shortage | null> {
    const { budget } = known;
    const { granted, free, account } = await this.#turnOver(known, wanted, true);
    const { spent } = account;
    return granted ? null : { budget, spent, free, left: minus(amountOf(budget.limit), spent) };
  }

  #giveBack(data: Uint8Array): void {
    const { key, holder } = JSON.parse(new TextDecoder().decode(data)) as { key?: string; holder?: string };
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known === undefined || holder === this.#holder) return;
    void this.#inTurn(known, async (turn) => {
      // If an earlier change failed while this change waited, nothing is written now. A later change writes the usage.
      if (failureBefore(known, turn) === null) await this.#write(known, false);
    });
  }

  #writeAll(): void {
    for (const known of this.#known.values()) {
      // A change in progress writes the usage, too. Usage that it misses is written at the next interval.
      if (known.turns > 0) continue;
      const idle = elapsedMs() - known.lastCallAtMs > budgetLimits.idleMs;
      const old = isDue(known, elapsedMs()) && !isNothing(known.lease);
      const isWritten =
        isNothing(known.used) && isNothing(minus(known.reserved, known.reportedReserved)) && known.doubts.size === 0;
      if (isWritten && !old && !(idle && !isNothing(known.lease))) {
        if (idle && known.calls === 0) this.#known.delete(known.budget.key);
        continue;
      }
      void this.#inTurn(known, () => this.#write(known, !idle));
    }
  }

  /** Writes the usage. Never throws: usage that couldn't be written stays in memory, and is written later. */
  async #write(known: Known, ahead: boolean): Promise<void> {
    if (isNothing(known.used) && isNothing(known.lease) && known.doubts.size === 0) return;
    try {
      await this.#turnOver(known, null, ahead);
    } catch (error) {
      this.#log.warn({ err: error, budget: known.budget.name }, 'what was used could not be written yet');
    }
  }

  async #turnOver(known: Known, wanted: Amount | null, ahead: boolean): Promise<Outcome> {
    try {
      return await this.#change(known, wanted, ahead);
    } catch (error) {
      if (error instanceof CoppiceError && error.code === 'unavailable') failWaiting(known, error);
      throw error;
    }
  }

  /** Changes the account by compare-and-set, and retries on a revision conflict. */
  async #change(known: Known, wanted: Amount | null, ahead: boolean): Promise<Outcome> {
    const { budget } = known;
    const bucket = this.#bus.keyValue(buckets.budgets);
    for (let write = 0; write < budgetLimits.writesMax; write++) {
      const entry = await this.#read(budget);
      const account = entry === null ? emptyAccount : parsed(entry.value, budget);
      resolveDoubts(known, (account.leases[this.#holder] ?? account.ended[this.#holder])?.turnover);
      const { used, reserved, doubts } = known;
      const number = ++this.#turnovers;
      const outcome = settle(account, {
        holder: this.#holder,
        number,
        limit: amountOf(budget.limit),
        used,
        reserved,
        wanted,
        ahead,
        nowMs: Date.now(),
        leaseMs: budgetLimits.leaseMs,
      });
      // A write with unknown outcome could still arrive. Only a further write rules that out.
      const isCertain = doubts.size === 0;
      if (isCertain && entry === null && isEmpty(outcome.account)) return outcome;
      // Waiting calls try repeatedly. If nothing has changed, nothing needs to be written.
      const isRenewed = isDue(known, elapsedMs()) && !isNothing(outcome.lease);
      if (isCertain && isNothing(used) && !isRenewed && isSame(account, outcome.account, this.#holder)) {
        known.lease = outcome.lease;
        return outcome;
      }
      const value = new TextEncoder().encode(JSON.stringify(outcome.account));
      const ttl = budget.forgottenAfterMs === null ? {} : { ttlMs: budget.forgottenAfterMs };
      try {
        if (entry === null) await bucket.create(budget.key, value, ttl);
        else await bucket.update(budget.key, value, entry.revision, ttl);
      } catch (error) {
        if (error instanceof RevisionConflict) continue;
        doubts.set(number, used);
        const [oldest = number] = doubts.keys();
        if (doubts.size > budgetLimits.doubtsMax) doubts.delete(oldest);
        throw unreachable(budget, error);
      }
      // Calls that settled during the write added to `known.used`. That usage is written next time.
      known.used = minus(known.used, used);
      doubts.clear();
      known.reportedReserved = outcome.account.leases[this.#holder]?.reserved ?? nothing;
      known.lease = outcome.lease;
      known.leasedAtMs = elapsedMs();
      return outcome;
    }
    throw new CoppiceError('unavailable', `the budget of ${budget.name} has too many requests waiting`);
  }

  async #read(budget: Budget): Promise<KeyValueEntry | null> {
    try {
      return await this.#bus.keyValue(buckets.budgets).get(budget.key);
    } catch (error) {
      throw unreachable(budget, error);
    }
  }

  async #inTurn<Result>(known: Known, work: (turn: number) => Promise<Result>): Promise<Result> {
    const turn = ++known.newestTurn;
    known.turns++;
    const own = known.turn.then(() => work(turn)).finally(() => known.turns--);
    // The next change only waits until this one ends. This change's error goes to its own caller.
    known.turn = own.catch(() => {});
    return own;
  }
}

/** Reports whether the change leaves the holder's lease unchanged. */
function isSame(before: Account, after: Account, holder: string): boolean {
  // The estimated charge for the holder's expired lease still has to be corrected.
  if (before.ended[holder] !== undefined) return false;
  const [one, other] = [before.leases[holder], after.leases[holder]];
  if (one === undefined || other === undefined) return one === other;
  return isNothing(minus(one.amount, other.amount)) && isNothing(minus(one.reserved, other.reserved));
}

/** Reserves in a budget that only one call uses; its usage is never written. */
function takeAlone(known: Known, wanted: Amount): Shortage | null {
  const shortage = shortageAlone(known.budget, known.used, known.reserved);
  if (!fits(wanted, shortage.free)) return shortage;
  take(known, wanted, elapsedMs());
  return null;
}

const unreachable = ({ name }: Budget, cause: unknown): CoppiceError =>
  new CoppiceError('unavailable', `the budget of ${name} can't be reached`, { cause });

function reservationOf(taken: readonly Known[], reserved: Amount): Reservation {
  let settled = false;
  return {
    settle: (used) => {
      if (settled) return;
      settled = true;
      for (const known of taken) release(known, reserved, used);
    },
  };
}

function parsed(value: Uint8Array, budget: Budget): Account {
  const account = accountSchema.safeParse(JSON.parse(new TextDecoder().decode(value)));
  if (account.success) return account.data;
  throw new CoppiceError('internal', `the stored budget of ${budget.name} can't be read`, { retryable: false });
}
