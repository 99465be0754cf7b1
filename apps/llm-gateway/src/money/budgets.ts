/**
 * Budgets that many gateway processes draw on: reserved before a call, settled after it.
 *
 * Collaborators: the bucket `coppice-budgets`, one value a budget (account.ts); the other gateways, which are asked on core NATS to give back what they don't need.
 *
 * Invariants:
 * 1. A call begins only after all its budgets hold what it may use at most. A reservation is settled once, whatever became of the call. Who leaves while it waits
 *    waits no longer, and keeps nothing: what is taken for it later is given back.
 * 2. What a process reserves without asking fits the lease that is stored for it. A lease that it can't renew in time it doesn't use.
 * 3. The changes of one account in one process follow one another; between processes the compare-and-set decides. No call waits for another between them.
 *    A change that the bucket doesn't take fails the calls that wait for it, but for those that the lease has enough for; who comes later asks again.
 * 4. Nothing is written of an account with which nothing happened, nor of a budget of one call, which one process has: whoever is refused leaves nothing behind.
 * 5. What is settled is written within `tellMs`, and when the process stops. One that is killed loses that much of the count, see account.ts 3.
 * 6. An account is forgotten only when nothing of it is under way and all is told: nobody settles on one that isn't known any more.
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
  hasAtHand,
  isDue,
  release,
  resolveDoubts,
  take,
  unknown,
} from './known-account.ts';
import type { Known } from './known-account.ts';
import { unlessAborted } from './unless-aborted.ts';
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
  /** From settling to telling. */
  tellMs: 1_000,
  /** An account without calls for this long keeps no lease. */
  idleMs: 5_000,
  writesMax: 200,
  /** Of one account, while its writes fail. */
  doubtsMax: 100,
  /** How long a call waits here for what others hold: they give back what they don't need. It has its place at the provider meanwhile, so who waits for calls in flight comes again. */
  elsewhereMsMax: 1_000,
  /** The first pause; each that follows is twice as long. */
  elsewherePauseMs: 50,
  /** How often a call makes do with less: others may be faster. */
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
  /** Counts the changes that were tried, of all accounts: of one that was forgotten no number comes again. */
  #turnovers = 0;

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
   * @param signal ends every wait; who has enough at hand doesn't look at it
   * @throws CoppiceError with `details.budget` where one of the budgets has too little left: `limit-exceeded`, or `provider-limited` with `details.retryAfterMs`
   *   where it may have enough once calls in flight are over; `unavailable` where it can't be asked. The signal's reason.
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
        amount = less.within(free, usedUp(taken, amount, false));
        continue;
      }
      const forNow = fits(least, left);
      if (isLate || !forNow) throw usedUp(taken, fits(least, free) ? amount : least, forNow);
      // What others hold they may not need, and what is in flight may be settled for less.
      this.#bus.publishCore(subjects.gatewayBudgetWanted, { key: budget.key, holder: this.#holder });
      const untilMs = Math.max(1, Math.min(pauseMs, endsAtMs - elapsedMs()));
      await sleep(untilMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
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
        if (!this.#takeAtHand(known, wanted)) shortage = await this.#take(known, wanted, signal);
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

  /** Whether there was enough here, with nobody to wait for: most calls find that, and it costs them nothing. */
  #takeAtHand(known: Known, wanted: Amount): boolean {
    const nowMs = elapsedMs();
    if (known.turns > 0 || known.budget.ofOneCall === true || !hasAtHand(known, wanted, nowMs)) return false;
    take(known, wanted, nowMs);
    return true;
  }

  async #take(known: Known, wanted: Amount, signal: AbortSignal | undefined): Promise<Shortage | null> {
    if (known.budget.ofOneCall === true) return takeAlone(known, wanted);
    signal?.throwIfAborted();
    const taking = this.#inTurn(known, async (turn) => {
      // Nobody is asked for a call that left.
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
    if (hasAtHand(known, wanted, elapsedMs())) return null;
    const failure = failureBefore(known, turn);
    if (failure !== null) throw failure;
    return this.#ask(known, wanted);
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
    void this.#inTurn(known, async (turn) => {
      // What wasn't taken just now is told later.
      if (failureBefore(known, turn) === null) await this.#tell(known, false);
    });
  }

  #tellAll(): void {
    for (const known of this.#known.values()) {
      // What is under way tells, too; what it leaves comes next time.
      if (known.turns > 0) continue;
      const idle = elapsedMs() - known.lastCallAtMs > budgetLimits.idleMs;
      const old = isDue(known, elapsedMs()) && !isNothing(known.lease);
      const isTold =
        isNothing(known.used) && isNothing(minus(known.reserved, known.toldReserved)) && known.doubts.size === 0;
      if (isTold && !old && !(idle && !isNothing(known.lease))) {
        if (idle && known.calls === 0) this.#known.delete(known.budget.key);
        continue;
      }
      void this.#inTurn(known, () => this.#tell(known, !idle));
    }
  }

  /** Never throws: what couldn't be told is told later. */
  async #tell(known: Known, ahead: boolean): Promise<void> {
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

  /** One compare-and-set of the account, as often as others are faster. */
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
      // A write that is in doubt could still come: only the next one rules that out.
      const isCertain = doubts.size === 0;
      if (isCertain && entry === null && isEmpty(outcome.account)) return outcome;
      // Those who wait ask again and again.
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
        throw cannotAsk(budget, error);
      }
      // Calls may have been settled while it was written: those are told next time.
      known.used = minus(known.used, used);
      doubts.clear();
      known.toldReserved = outcome.account.leases[this.#holder]?.reserved ?? nothing;
      known.lease = outcome.lease;
      known.leasedAtMs = elapsedMs();
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

  async #inTurn<Result>(known: Known, work: (turn: number) => Promise<Result>): Promise<Result> {
    const turn = ++known.newestTurn;
    known.turns++;
    const own = known.turn.then(() => work(turn)).finally(() => known.turns--);
    // The next turn only waits for this one; what became of it is told to whoever asked.
    known.turn = own.catch(() => {});
    return own;
  }
}

/** Whether a change leaves what its holder has as it was. */
function isSame(before: Account, after: Account, holder: string): boolean {
  // What was charged when its lease had run out is corrected.
  if (before.ended[holder] !== undefined) return false;
  const [one, other] = [before.leases[holder], after.leases[holder]];
  if (one === undefined || other === undefined) return one === other;
  return isNothing(minus(one.amount, other.amount)) && isNothing(minus(one.reserved, other.reserved));
}

/** From a budget that nobody else draws on: what was used stays here. */
function takeAlone(known: Known, wanted: Amount): Shortage | null {
  const shortage = shortageAlone(known.budget, known.used, known.reserved);
  if (!fits(wanted, shortage.free)) return shortage;
  take(known, wanted, elapsedMs());
  return null;
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

function parsed(value: Uint8Array, budget: Budget): Account {
  const account = accountSchema.safeParse(JSON.parse(new TextDecoder().decode(value)));
  if (account.success) return account.data;
  throw new CoppiceError('internal', `the stored budget of ${budget.name} can't be read`, { retryable: false });
}
