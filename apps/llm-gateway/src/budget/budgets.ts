/**
 * Budgets that many gateway processes share. Each call reserves an amount before it starts, and settles it afterwards.
 *
 * Collaborators: the bucket `coppice-budgets`, which has one value per budget (account.ts), and the other gateways. A
 * gateway that needs an amount publishes a core NATS message. The other gateways then return what they don't need.
 *
 * Invariants:
 * 1. A call starts only after its maximum usage is reserved in all its budgets. A reservation is settled once, whatever
 *    the outcome of the call. If a call is aborted while it waits, it stops waiting at once. An amount that is reserved
 *    for it later is released.
 * 2. The amounts that a process reserves without I/O fit in its stored lease. A lease that wasn't renewed in time isn't
 *    used.
 * 3. In one process, the changes of an account run one after another. Between processes, the compare-and-set decides
 *    which change succeeds. A call waits for other calls only while a change runs. If the change fails because the
 *    bucket is unavailable, the calls that wait for the account fail, too, unless the lease is large enough for them.
 * 4. An account without usage and reservations isn't written, so a rejected call leaves no data. A budget of one call
 *    isn't written either, since only one process uses it.
 * 5. Settled usage is written within `writeIntervalMs`, and when the process stops. If the process is killed, usage
 *    that isn't written yet is lost. Invariant 3 of account.ts then applies.
 * 6. An account is removed from memory only after all its calls are settled and all its usage is written. So no call
 *    settles on a removed account.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RevisionConflict, elapsedMs } from '@coppice/bus';
import type { Bus, KeyValueEntry } from '@coppice/bus';
import { CoppiceError, buckets, subjects } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { accountSchema, emptyAccount, isEmpty, settle, standOf } from './account.ts';
import type { Account, Outcome } from './account.ts';
import { amountOf, fits, isNothing, minus, nothing } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Budget, Less, Reservation } from './budget.ts';
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

const budgetLimits = {
  /** Lifetime of a lease that isn't renewed. */
  leaseMs: 30_000,
  /** Longest time between the settlement of usage and its write. */
  writeIntervalMs: 1_000,
  /** Time without calls after which an account returns its lease. */
  idleMs: 5_000,
  writesMax: 200,
  /** Number of writes with unknown outcome that are remembered per account. */
  doubtsMax: 100,
  /**
   * Longest wait for amounts that other gateways return. During this wait, the call occupies its slot at the provider.
   * If not enough is returned in this time, the call gets a retryable error and releases the slot.
   */
  elsewhereMsMax: 1_000,
  /** First pause between two tries. Each further pause is twice as long. */
  elsewherePauseMs: 50,
  /** Number of times that one call tries a smaller amount. A try fails if other calls take that amount first. */
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
  /**
   * Number of the last attempted change. All accounts share this counter, so that an account that is removed and loaded
   * again doesn't reuse numbers.
   */
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
   * Reserves the wanted amount in all budgets or in none. If `less` is given, a smaller amount may be reserved.
   * @param signal ends every wait. It is ignored if the local leases are large enough.
   * @throws CoppiceError `limit-exceeded` if a budget is too small, or `provider-limited` with `details.retryAfterMs`
   *   if it may be large enough after calls in flight end. Both errors have `details.budget`.
   * @throws CoppiceError `unavailable` if the bucket can't be reached
   * @throws the signal's reason
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

  /** @throws CoppiceError `unavailable` */
  async look(budgets: readonly Budget[]): Promise<{ budget: Budget; used: Amount; reserved: Amount }[]> {
    return Promise.all(
      budgets.map(async (budget) => {
        const entry = await this.#read(budget);
        const account = entry === null ? emptyAccount : parsed(entry.value, budget);
        return { budget, ...standOf(account, Date.now()) };
      }),
    );
  }

  /**
   * Writes all usage, and returns the leases except for reservations of calls in flight. These stay until the lease
   * expires.
   */
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
    // The limit may have changed since the last call.
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

  /** Takes the amount from the local lease without I/O. This is the common case. */
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

  /** Never throws. If the write fails, the usage stays in memory and is written later. */
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
      // A write with unknown outcome may still reach the bucket. After a further write it fails, since the revision has
      // changed.
      const isCertain = doubts.size === 0;
      if (isCertain && entry === null && isEmpty(outcome.account)) return outcome;
      // Waiting calls try repeatedly, so an unchanged account isn't written.
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
      // Subtracts only what was written, since calls may have settled during the write.
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
    // The error of this change goes to its own caller. The next change only waits until this change has ended.
    known.turn = own.catch(() => {});
    return own;
  }
}

/** Reports whether the change leaves the holder's lease unchanged. */
function isSame(before: Account, after: Account, holder: string): boolean {
  // The holder's expired lease was charged by an estimate, which this change corrects.
  if (before.ended[holder] !== undefined) return false;
  const [one, other] = [before.leases[holder], after.leases[holder]];
  if (one === undefined || other === undefined) return one === other;
  return isNothing(minus(one.amount, other.amount)) && isNothing(minus(one.reserved, other.reserved));
}

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
