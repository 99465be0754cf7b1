/**
 * Limits how much of a resource is in use at once, and admits waiting claims fairly. Amounts are counts or bytes.
 *
 * Invariants:
 * 1. At most `total` is in use, and each group uses at most `perGroup` of it.
 * 2. The next claim comes from the group that uses the least. Groups that use the same amount take turns. A group is
 *    skipped if `perGroup` doesn't allow its first claim. Within a group, lines take turns. Within a line, claims are
 *    admitted in the order of their arrival. If the next claim doesn't fit yet, all other claims wait too.
 * 3. At most `waitingMax` claims wait, and at most `waitingPerGroupMax` of one group. A rejected or aborted claim uses
 *    nothing.
 */
import { CoppiceError } from '@coppice/contracts';

export type AdmissionSettings = {
  /** In the unit of the claims' amounts. */
  total: number;
  /** Default: `total`. */
  perGroup?: number;
  /** Default: no limit. */
  waitingMax?: number;
  /** Default: no limit. */
  waitingPerGroupMax?: number;
  /** If a group releases nothing for this many milliseconds, its waiting claims are rejected. Default: no limit. */
  stuckAfterMs?: number;
  /** Makes the error of a rejected claim. Default: a CoppiceError `unavailable`. */
  refusal?: (group: string) => Error;
};

export type Claim = {
  /** Default: 1. */
  amount?: number;
  /** Name of the claim's group, such as a tenant. Groups get equal shares. Default: one group without a name. */
  group?: string;
  /** Name of the claim's line within the group, such as a task. Lines take turns. */
  line?: string;
  signal?: AbortSignal;
};

/** Further calls have no effect. */
export type Release = () => void;

type Waiting = { amount: number; admit: () => void };
type Group = {
  name: string;
  inUse: number;
  waiting: number;
  /** Waiting claims by line, the oldest first. A line without claims has no entry. */
  lines: Map<string, Set<Waiting>>;
  freedAtMs: number;
};

type Next = { group: Group; line: string; claims: Set<Waiting>; waiting: Waiting };

const unlimited = Number.POSITIVE_INFINITY;

export class Admission {
  readonly #settings: AdmissionSettings;
  /** Groups that use an amount or have waiting claims. Their order decides between groups that use the same amount. */
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

  /** Takes the amount and returns true. Returns false if the amount isn't free or a waiting claim has precedence. */
  tryTake(amount = 1, name = ''): boolean {
    const group = this.#groups.get(name) ?? newGroup(name);
    if (!this.#fits(amount, group) || (this.#waiting > 0 && this.#next() !== undefined)) return false;
    this.#use(amount, group);
    return true;
  }

  /**
   * Waits until the claim is admitted, and takes its amount.
   * @throws the error of `refusal` if the claim is rejected; the signal's reason if the signal is aborted
   */
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
        // A smaller claim may fit now, since it no longer waits behind this claim.
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

  /** Takes the amount as `take` does. Returns a function that releases it. @throws as `take` */
  async enter(claim: Claim = {}): Promise<Release> {
    await this.take(claim);
    let held = true;
    return () => {
      if (held) this.giveBack(claim.amount, claim.group);
      held = false;
    };
  }

  /** Holds the amount while the work runs. @throws as `take`; the work's error */
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
    const { total, perGroup = unlimited, waitingMax = unlimited, waitingPerGroupMax = unlimited } = this.#settings;
    const hasRoom = this.#waiting < waitingMax && group.waiting < waitingPerGroupMax;
    return amount <= Math.min(total, perGroup) && hasRoom && this.#leftMs(group) > 0;
  }

  #leftMs({ freedAtMs }: Group): number {
    return (this.#settings.stuckAfterMs ?? unlimited) - (performance.now() - freedAtMs);
  }

  #refusal(name: string): Error {
    const { refusal } = this.#settings;
    const what = name === '' ? 'too much work' : `too much work of ${name}`;
    return refusal?.(name) ?? new CoppiceError('unavailable', `${what} is in progress here: try again later`);
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

  /**
   * Returns the next claim by invariant 2. Returns undefined if no claim waits, or all groups with waiting claims are
   * skipped.
   */
  #next(): Next | undefined {
    let least: Next | undefined;
    for (const group of this.#groups.values()) {
      const next = firstOf(group);
      if (next === undefined || !this.#fitsGroup(next.waiting.amount, group)) continue;
      if (least === undefined || group.inUse < least.group.inUse) least = next;
    }
    return least;
  }

  /**
   * Deletes an idle group. Otherwise the group's next claim would be rejected too early, because of the old
   * `freedAtMs`.
   */
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

function moveToEnd<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}
