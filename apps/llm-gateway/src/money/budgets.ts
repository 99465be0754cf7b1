/**
 * Budgets that many gateway processes draw on: reserved before a call, settled after it.
 *
 * Collaborators: the bucket `coppice-budgets`, one value a budget (account.ts); the other gateways, which are asked on core NATS to give back what they don't need.
 *
 * Invariants:
 * 1. A call begins only after all its budgets hold what it may use at most. A reservation is settled once, whatever became of the call.
 * 2. What a process reserves without asking fits the lease that is stored for it. A lease that it can't renew in time it doesn't use.
 * 3. The changes of one account in one process follow one another; between processes the compare-and-set decides. No call waits for another between them.
 * 4. Nothing is written of an account with which nothing happened, nor of a budget of one call, which one process has: whoever is refused leaves nothing behind.
 * 5. What is settled is written within `tellMs`, and when the process stops. One that is killed loses that much of the count, see account.ts 3.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RevisionConflict } from '@coppice/bus';
import type { Bus, KeyValueEntry } from '@coppice/bus';
import { CoppiceError, buckets, subjects } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { accountSchema, emptyAccount, isEmpty, settle, standOf } from './account.ts';
import type { Account, Outcome } from './account.ts';
import { amountOf, fits, isNothing, minus, nothing, plus, scaled } from './amount.ts';
import type { Amount, AmountLimit } from './amount.ts';
import { shortageAlone, usedUp } from './used-up.ts';
import type { Shortage } from './used-up.ts';

export type Budget = {
  /** The key in the bucket; its first token tells whose it is. */
  key: string;
  /** For errors: `task t1`, `tenant acme in 2026-11`. */
  name: string;
  limit: AmountLimit;
  /** After how long without a call it is forgotten; null for never. */
  forgottenAfterMs: number | null;
  /** Whether just one call draws on it, by this very object: then it is counted in memory, and gone with it. */
  ofOneCall?: boolean;
};

export type Reservation = {
  /** What the call used, or nothing. Only the first call counts. */
  settle(used: Amount): void;
};

/** How a call makes do with less than it wants. */
type Less = {
  /** No smaller amount would do. */
  least: Amount;
  /** What would do where so much is free, and why that is less than was wanted. */
  within(free: Amount, why: CoppiceError): Amount;
  /** Whether it makes do only where nothing is in flight that could be given back. */
  patient: boolean;
};

const budgetLimits = {
  /** A lease that isn't renewed ends after this long. */
  leaseMs: 30_000,
  /** A lease of this age is renewed before more of it is used. */
  renewMs: 10_000,
  /** From settling to telling. */
  tellMs: 1_000,
  /** An account without calls for this long keeps no lease. */
  idleMs: 5_000,
  writesMax: 200,
  /** How long a call waits here for what others hold: they give back what they don't need. It has its place at the provider meanwhile, so who waits for calls in flight comes again. */
  elsewhereMsMax: 1_000,
  /** The first pause; each that follows is twice as long. */
  elsewherePauseMs: 50,
  /** How often a call makes do with less: others may be faster. */
  lessMax: 3,
} as const;

/** An account as this process knows it. */
type Known = {
  budget: Budget;
  /** May be used, reservations and what isn't told yet included. */
  lease: Amount;
  leasedAtMs: number;
  reserved: Amount;
  /** Of `reserved`, what was written last. */
  toldReserved: Amount;
  /** Settled and not told yet. */
  used: Amount;
  lastCallAtMs: number;
  /** Counts the changes that were tried. */
  turnovers: number;
  /** A change of which it isn't known whether it was written: by its number, and what it told. */
  doubtful: { number: number; used: Amount } | null;
  /** Ends when the changes before are done. */
  turn: Promise<unknown>;
};

export class Budgets {
  readonly #bus: Bus;
  readonly #holder: string;
  readonly #known = new Map<string, Known>();
  readonly #ofOneCall = new WeakMap<Budget, Known>();
  readonly #log = createLogger('llm-gateway');
  readonly #wanted: { unsubscribe(): void };
  readonly #timer: NodeJS.Timeout;

  /** @param holder names this process, and no other */
  constructor(bus: Bus, holder: string) {
    this.#bus = bus;
    this.#holder = holder;
    this.#wanted = bus.subscribeCore(subjects.gatewayBudgetWanted, (data) => this.#giveBack(data));
    this.#timer = setInterval(() => this.#tellAll(), budgetLimits.tellMs);
    this.#timer.unref();
  }

  /**
   * In all of them or in none: what is wanted, or what `less` makes of it.
   * @throws CoppiceError with `details.budget` where one of the budgets has too little left: `limit-exceeded`, or `provider-limited` with `details.retryAfterMs`
   *   where it may have enough once calls in flight are over; `unavailable` where it can't be asked.
   */
  async reserve(budgets: readonly Budget[], wanted: Amount, less: Less | null = null): Promise<Reservation> {
    const endsAtMs = performance.now() + budgetLimits.elsewhereMsMax;
    const sorted = budgets.toSorted((one, other) => one.key.localeCompare(other.key));
    let amount = wanted;
    let tries = 0;
    for (let pauseMs: number = budgetLimits.elsewherePauseMs; ; pauseMs *= 2) {
      const taken = await this.#takeAll(sorted, amount);
      if (Array.isArray(taken)) return reservationOf(taken, amount);
      const { budget, free, left } = taken;
      const least = less?.least ?? amount;
      const isLate = performance.now() >= endsAtMs;
      const wouldFit = fits(amount, left);
      const makesDo = less?.patient === true ? !wouldFit && fits(left, free) : !wouldFit || isLate;
      if (less !== null && makesDo && fits(least, free) && tries++ < budgetLimits.lessMax) {
        amount = less.within(free, usedUp(taken, amount, false));
        continue;
      }
      const forNow = fits(least, left);
      if (isLate || !forNow) throw usedUp(taken, fits(least, free) ? amount : least, forNow);
      // What others hold they may not need, and what is in flight may be settled for less.
      this.#bus.publishCore(subjects.gatewayBudgetWanted, { key: budget.key, holder: this.#holder });
      await sleep(Math.max(1, Math.min(pauseMs, endsAtMs - performance.now())));
      amount = wanted;
    }
  }

  /** What is used of each, and reserved by calls in flight. @throws CoppiceError `unavailable`. */
  async look(budgets: readonly Budget[]): Promise<{ budget: Budget; used: Amount; reserved: Amount }[]> {
    return Promise.all(
      budgets.map(async (budget) => {
        const entry = await this.#read(budget);
        const account = entry === null ? emptyAccount : parsed(entry.value, budget);
        return { budget, ...standOf(account, Date.now()) };
      }),
    );
  }

  /** Tells everything and gives back every lease; what is in flight stays reserved until its lease ends. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#wanted.unsubscribe();
    await Promise.all([...this.#known.values()].map((known) => this.#inTurn(known, () => this.#tell(known, false))));
  }

  #account(budget: Budget): Known {
    if (budget.ofOneCall === true) {
      const own = this.#ofOneCall.get(budget) ?? unknown(budget);
      this.#ofOneCall.set(budget, own);
      return own;
    }
    const known = this.#known.get(budget.key) ?? unknown(budget);
    // A limit may have been changed meanwhile.
    known.budget = budget;
    this.#known.set(budget.key, known);
    return known;
  }

  async #takeAll(budgets: readonly Budget[], wanted: Amount): Promise<Known[] | Shortage> {
    const taken: Known[] = [];
    let shortage: Shortage | null = null;
    try {
      for (const budget of budgets) {
        const known = this.#account(budget);
        shortage = await this.#take(known, wanted);
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

  #take(known: Known, wanted: Amount): Promise<Shortage | null> {
    return this.#inTurn(known, async () => {
      known.lastCallAtMs = performance.now();
      if (known.budget.ofOneCall === true) return takeAlone(known, wanted);
      const shortage = this.#hasAtHand(known, wanted) ? null : await this.#ask(known, wanted);
      if (shortage === null) known.reserved = plus(known.reserved, wanted);
      return shortage;
    });
  }

  #hasAtHand(known: Known, wanted: Amount): boolean {
    if (isDue(known)) return false;
    const limit = amountOf(known.budget.limit);
    const { lease, reserved, used } = known;
    const atHand = minus(minus(lease, reserved), used);
    return fits(wanted, {
      tokens: Number.isFinite(limit.tokens) ? atHand.tokens : limit.tokens,
      nanoUsd: Number.isFinite(limit.nanoUsd) ? atHand.nanoUsd : limit.nanoUsd,
    });
  }

  async #ask(known: Known, wanted: Amount): Promise<Shortage | null> {
    const { budget } = known;
    const { granted, free, account } = await this.#turnOver(known, wanted, true);
    const { spent } = account;
    return granted ? null : { budget, spent, free, left: minus(amountOf(budget.limit), spent) };
  }

  #giveBack(data: Uint8Array): void {
    const { key, holder } = JSON.parse(new TextDecoder().decode(data)) as { key?: string; holder?: string };
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known === undefined || holder === this.#holder) return;
    void this.#inTurn(known, () => this.#tell(known, false));
  }

  #tellAll(): void {
    for (const known of this.#known.values()) {
      const idle = performance.now() - known.lastCallAtMs > budgetLimits.idleMs;
      const old = isDue(known) && !isNothing(known.lease);
      const isTold = isNothing(known.used) && isNothing(minus(known.reserved, known.toldReserved));
      if (isTold && !old && !(idle && !isNothing(known.lease))) {
        if (idle && isNothing(known.reserved)) this.#known.delete(known.budget.key);
        continue;
      }
      void this.#inTurn(known, () => this.#tell(known, !idle));
    }
  }

  /** Never throws: what couldn't be told is told later. */
  async #tell(known: Known, ahead: boolean): Promise<void> {
    if (isNothing(known.used) && isNothing(known.lease)) return;
    try {
      await this.#turnOver(known, null, ahead);
    } catch (error) {
      this.#log.warn({ err: error, budget: known.budget.name }, 'what was used could not be written yet');
    }
  }

  /** One compare-and-set of the account, as often as others are faster. */
  async #turnOver(known: Known, wanted: Amount | null, ahead: boolean): Promise<Outcome> {
    const { budget } = known;
    const bucket = this.#bus.keyValue(buckets.budgets);
    for (let write = 0; write < budgetLimits.writesMax; write++) {
      const entry = await this.#read(budget);
      const account = entry === null ? emptyAccount : parsed(entry.value, budget);
      forgetDoubt(known, account.leases[this.#holder]?.turnover);
      const { used, reserved } = known;
      const number = ++known.turnovers;
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
      if (entry === null && isEmpty(outcome.account)) return outcome;
      // Those who wait ask again and again.
      const isRenewed = isDue(known) && !isNothing(outcome.lease);
      if (isNothing(used) && !isRenewed && isSame(account, outcome.account, this.#holder)) {
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
        known.doubtful = { number, used };
        throw cannotAsk(budget, error);
      }
      // Calls may have been settled while it was written: those are told next time.
      known.used = minus(known.used, used);
      known.toldReserved = outcome.account.leases[this.#holder]?.reserved ?? nothing;
      known.lease = outcome.lease;
      known.leasedAtMs = performance.now();
      return outcome;
    }
    throw new CoppiceError('unavailable', `the budget of ${budget.name} is asked for by too many at once`);
  }

  async #read(budget: Budget): Promise<KeyValueEntry | null> {
    try {
      return await this.#bus.keyValue(buckets.budgets).get(budget.key);
    } catch (error) {
      throw cannotAsk(budget, error);
    }
  }

  async #inTurn<Result>(known: Known, work: () => Promise<Result>): Promise<Result> {
    const before = known.turn;
    const own = before.then(work, work);
    // The next turn only waits for this one; what became of it is told to whoever asked.
    known.turn = own.catch(() => {});
    return own;
  }
}

const unknown = (budget: Budget): Known => ({
  budget,
  lease: nothing,
  leasedAtMs: Number.NEGATIVE_INFINITY,
  reserved: nothing,
  toldReserved: nothing,
  used: nothing,
  lastCallAtMs: 0,
  turnovers: 0,
  doubtful: null,
  turn: Promise.resolve(),
});

/** Whether the lease is to be renewed. */
const isDue = ({ leasedAtMs }: Known): boolean => performance.now() - leasedAtMs > budgetLimits.renewMs;

/** Whether a change leaves what its holder has as it was. */
function isSame(before: Account, after: Account, holder: string): boolean {
  const [one, other] = [before.leases[holder], after.leases[holder]];
  if (one === undefined || other === undefined) return one === other;
  return isNothing(minus(one.amount, other.amount)) && isNothing(minus(one.reserved, other.reserved));
}

/** From a budget that nobody else draws on: what was used stays here. */
function takeAlone(known: Known, wanted: Amount): Shortage | null {
  const { budget, used, reserved } = known;
  const shortage = shortageAlone(budget, used, reserved);
  if (!fits(wanted, shortage.free)) return shortage;
  known.reserved = plus(reserved, wanted);
  return null;
}

/** Whether a change was written whose confirmation got lost: what it told isn't told again. */
function forgetDoubt(known: Known, written: number | undefined): void {
  if (known.doubtful !== null && known.doubtful.number === written) known.used = minus(known.used, known.doubtful.used);
  known.doubtful = null;
}

const cannotAsk = ({ name }: Budget, cause: unknown): CoppiceError =>
  new CoppiceError('unavailable', `the budget of ${name} can't be asked`, { cause });

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

function release(known: Known, reserved: Amount, used: Amount): void {
  // Sums are capped, so that what is given back may be more than what they hold.
  known.reserved = scaled(minus(known.reserved, reserved), 1);
  known.used = plus(known.used, used);
}

function parsed(value: Uint8Array, budget: Budget): Account {
  const account = accountSchema.safeParse(JSON.parse(new TextDecoder().decode(value)));
  if (account.success) return account.data;
  throw new CoppiceError('internal', `the stored budget of ${budget.name} can't be read`, { retryable: false });
}
