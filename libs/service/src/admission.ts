/**
 * Limits how much is in use at once, by number or by bytes, and lets waiting claims in fairly.
 *
 * Invariants:
 * 1. At most `total` is in use, and at most `perGroup` of it by one group.
 * 2. What becomes free goes to a waiting claim, never to a newcomer: to the group that uses least, of equal ones in turn. Within a group, lines take turns; within a
 *    line, claims are first in, first out. A claim that is too large for what is free isn't overtaken.
 * 3. The number of waiting claims is limited. A rejected claim, or one that leaves while it waits, has used nothing.
 */
import { CoppiceError } from '@coppice/contracts';

export type AdmissionSettings = {
  /** The most in use at once, in the unit of the claims' amounts. */
  total: number;
  /** The most that one group uses at once; default: `total`. */
  perGroup?: number;
  /** Claims that may wait; by default all may. */
  waitingMax?: number;
  waitingPerGroupMax?: number;
  /** Waiting claims are rejected if nothing of their group's became free for this time, in milliseconds; by default they wait until their signal is aborted. */
  stuckAfterMs?: number;
  /** Error of a rejected claim; default: `unavailable`. */
  refusal?: (group: string) => Error;
};

export type Claim = {
  /** Default: 1. */
  amount?: number;
  /** Groups share fairly, such as tenants; by default there is only one. */
  group?: string;
  /** Lines of a group take turns, such as its tasks. */
  line?: string;
  /** Ends the wait. */
  signal?: AbortSignal;
};

/** Gives back what a claim uses. Further calls have no effect. */
export type Release = () => void;

type Waiting = { amount: number; admit: () => void };
type Group = {
  name: string;
  inUse: number;
  waiting: number;
  /** Waiting claims by line, oldest first. No set is empty. */
  lines: Map<string, Set<Waiting>>;
  freedAtMs: number;
};

type Next = { group: Group; line: string; claims: Set<Waiting>; waiting: Waiting };

const unlimited = Number.POSITIVE_INFINITY;

export class Admission {
  readonly #settings: AdmissionSettings;
  /** Groups that use something or wait; those that were let in longest ago first. */
  readonly #groups = new Map<string, Group>();
  #inUse = 0;
  #waiting = 0;

  constructor(settings: AdmissionSettings) {
    this.#settings = settings;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Takes the amount if it is free now, and nobody waits for it. */
  tryTake(amount = 1, name = ''): boolean {
    const group = this.#groups.get(name) ?? newGroup(name);
    if (!this.#fits(amount, group) || (this.#waiting > 0 && this.#next() !== undefined)) return false;
    this.#use(amount, group);
    return true;
  }

  /** Waits for the amount. @throws the refusal; the signal's reason. */
  take({ amount = 1, group: name = '', line = '', signal }: Claim = {}): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.tryTake(amount, name)) return Promise.resolve();
    const group = this.#groups.get(name) ?? newGroup(name);
    if (!this.#mayWait(amount, group)) return Promise.reject(this.#refusal(name));
    this.#groups.set(name, group);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const leave = (reason: unknown) => {
        end();
        this.#remove(waiting, line, group);
        reject(reason);
        // A smaller claim may have waited behind this one.
        this.#serve();
      };
      const onAbort = () => leave(signal?.reason);
      const look = () => {
        const leftMs = this.#leftMs(group);
        if (leftMs > 0) timer = setTimeout(look, leftMs);
        else leave(this.#refusal(name));
      };
      const waiting: Waiting = {
        amount,
        admit: () => {
          end();
          resolve();
        },
      };
      this.#add(waiting, line, group);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (this.#settings.stuckAfterMs !== undefined) look();
    });
  }

  giveBack(amount = 1, name = ''): void {
    this.#inUse -= amount;
    const group = this.#groups.get(name);
    if (group === undefined) return;
    group.inUse -= amount;
    group.freedAtMs = performance.now();
    this.#forgetIdle(group);
    this.#serve();
  }

  /** Waits for the amount. @throws as `take`. */
  async enter(claim: Claim = {}): Promise<Release> {
    await this.take(claim);
    let held = true;
    return () => {
      if (held) this.giveBack(claim.amount, claim.group);
      held = false;
    };
  }

  /** Runs work while it holds the claim. @throws as `take`, and what the work throws. */
  async within<Result>(claim: Claim, work: () => Promise<Result>): Promise<Result> {
    await this.take(claim);
    try {
      return await work();
    } finally {
      this.giveBack(claim.amount, claim.group);
    }
  }

  #fits(amount: number, group: Group): boolean {
    return this.#inUse + amount <= this.#settings.total && this.#fitsGroup(amount, group);
  }

  #fitsGroup(amount: number, { inUse }: Group): boolean {
    return inUse + amount <= (this.#settings.perGroup ?? unlimited);
  }

  #mayWait(amount: number, group: Group): boolean {
    const { total, waitingMax = unlimited, waitingPerGroupMax = unlimited } = this.#settings;
    const hasRoom = this.#waiting < waitingMax && group.waiting < waitingPerGroupMax;
    return amount <= total && hasRoom && this.#leftMs(group) > 0;
  }

  #leftMs({ freedAtMs }: Group): number {
    return (this.#settings.stuckAfterMs ?? unlimited) - (performance.now() - freedAtMs);
  }

  #refusal(name: string): Error {
    const { refusal } = this.#settings;
    return refusal?.(name) ?? new CoppiceError('unavailable', `too much of ${name} is under way here: try again later`);
  }

  #use(amount: number, group: Group): void {
    this.#groups.set(group.name, group);
    if (group.inUse === 0) group.freedAtMs = performance.now();
    group.inUse += amount;
    this.#inUse += amount;
  }

  #add(waiting: Waiting, line: string, group: Group): void {
    group.lines.set(line, (group.lines.get(line) ?? new Set()).add(waiting));
    group.waiting++;
    this.#waiting++;
  }

  #remove(waiting: Waiting, line: string, group: Group): void {
    const claims = group.lines.get(line);
    if (claims?.delete(waiting) !== true) return;
    if (claims.size === 0) group.lines.delete(line);
    group.waiting--;
    this.#waiting--;
    this.#forgetIdle(group);
  }

  /** Lets in what fits, in order. */
  #serve(): void {
    while (this.#waiting > 0) {
      const next = this.#next();
      if (next === undefined || !this.#fits(next.waiting.amount, next.group)) return;
      const { group, line, claims, waiting } = next;
      this.#use(waiting.amount, group);
      this.#remove(waiting, line, group);
      if (claims.size > 0) moveToEnd(group.lines, line, claims);
      moveToEnd(this.#groups, group.name, group);
      waiting.admit();
    }
  }

  /** The first claim of the group that uses least, of those that are below their own limit. */
  #next(): Next | undefined {
    let least: Next | undefined;
    for (const group of this.#groups.values()) {
      const next = firstOf(group);
      if (next === undefined || !this.#fitsGroup(next.waiting.amount, group)) continue;
      if (least === undefined || group.inUse < least.group.inUse) least = next;
    }
    return least;
  }

  /** Drops an idle group's state, so that its next claim may wait as long as a new group's: an earlier wait caused by others must not count. */
  #forgetIdle({ name, inUse, waiting }: Group): void {
    if (inUse === 0 && waiting === 0) this.#groups.delete(name);
  }
}

const newGroup = (name: string): Group => ({
  name,
  inUse: 0,
  waiting: 0,
  lines: new Map(),
  freedAtMs: performance.now(),
});

function firstOf(group: Group): Next | undefined {
  for (const [line, claims] of group.lines) for (const waiting of claims) return { group, line, claims, waiting };
  return undefined;
}

/** A map iterates its keys in insertion order. */
function moveToEnd<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}
