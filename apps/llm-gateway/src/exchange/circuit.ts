/** Of one model of one provider: whether it is asked just now. Times are in milliseconds of one clock of the caller's that never goes back. */

/** One call, the same object however often it asks. */
export type Caller = { tenant: string };

export type CircuitSettings = {
  /** So many calls that fail in a row open it. */
  failuresMax: number;
  /** How long it then stays open, before one call may try. */
  openMs: number;
};

/** Whom the breaker doesn't admit any more: everybody, or the tenant whose call failed. */
export type Opening = 'for all' | 'for the tenant';

/** Why it failed the last time. */
export type LastFailure = {
  /** Whose call it was: a provider's words may quote what it was asked, and are told to nobody else. */
  tenant: string;
  message: string;
  /** Of HTTP; null where there was none. */
  status: number | null;
};

/** What a call is told that wants to ask. */
export type Admission =
  | { admitted: true; probe: boolean }
  /** `forMs`: until it may be tried again; of a probe that is under way, how soon to look again. */
  | { admitted: false; forMs: number; why: 'cooling' }
  /** `last` is null where that is another instance's to know. */
  | { admitted: false; forMs: number; why: 'failing'; last: LastFailure | null };

/** How often to look whether a probe has come to something. */
const probeLookMs = 250;

/** Or as many as open it, where those are fewer. */
const othersMin = 2;

/**
 * Breaker and cool-down in one.
 *
 * The breaker: closed it admits all; after `failuresMax` calls that failed in a row it is open and admits nobody for `openMs`; then it admits one call, the probe, whose first
 * output closes it, and whose failure opens it again. A probe that is left is no failure: the next call is the probe.
 *
 * What one tenant asks may be the reason. So a tenant of which as many calls failed is shut out alone, and it opens for all only where `othersMin` of those in a row were of other
 * tenants than the one with the most. A failed probe, too, keeps out its own tenant, and lets one of another try. An answer to anybody closes it for all.
 *
 * The cool-down: nobody is admitted until the time is over that the provider asked for.
 */
export class Circuit {
  readonly #settings: CircuitSettings;
  /** Of each tenant, how many of the calls that failed in a row, since it opened for all or was closed. */
  readonly #failures = new Map<string, number>();
  /** Calls that are counted: what one fails with when it asks again is no news. */
  #counted = new WeakSet<Caller>();
  #last: LastFailure | null = null;
  /** For all; null where it isn't open for all. */
  #openUntilMs: number | null = null;
  /** For one tenant alone. */
  #shutOut: { tenant: string; untilMs: number } | null = null;
  #probing = false;
  #coolUntilMs = 0;

  constructor(settings: CircuitSettings) {
    this.#settings = settings;
  }

  /** For anybody. */
  isOpen(): boolean {
    return this.#openUntilMs !== null || this.#shutOut !== null;
  }

  isOpenForAll(): boolean {
    return this.#openUntilMs !== null;
  }

  isCooling(nowMs: number): boolean {
    return nowMs < this.#coolUntilMs;
  }

  /** What `admit` would say, without a call that wants to ask. */
  look(nowMs: number, tenant: string): Admission {
    if (nowMs < this.#coolUntilMs) return { admitted: false, forMs: this.#coolUntilMs - nowMs, why: 'cooling' };
    const untilMs = this.#untilMs(tenant);
    if (untilMs === null) return { admitted: true, probe: false };
    const waiting = { admitted: false, why: 'failing', last: this.#last } as const;
    if (nowMs < untilMs) return { ...waiting, forMs: untilMs - nowMs };
    return this.#probing ? { ...waiting, forMs: probeLookMs } : { admitted: true, probe: true };
  }

  /** Whoever is admitted tells what came of it: `began`, then `answered` or `failed`; or `left`. */
  admit(nowMs: number, tenant: string): Admission {
    const admission = this.look(nowMs, tenant);
    if (admission.admitted && admission.probe) this.#probing = true;
    return admission;
  }

  /** The answer began. @returns whether that closed the breaker. */
  began(probe: boolean, tenant: string): boolean {
    if (!probe || !this.#probing) return false;
    this.close();
    // One that begins its answers and breaks them off is open again at once.
    this.#failures.set(tenant, this.#settings.failuresMax - 1);
    return true;
  }

  /** It is there: it answered, or refused the request for what the request is. @returns whether that closed the breaker. */
  answered(): boolean {
    const wasOpen = this.isOpen();
    this.close();
    return wasOpen;
  }

  /** @returns whether that opened the breaker, or opened it anew; null where it didn't. */
  failed(probe: boolean, nowMs: number, caller: Caller, why: LastFailure | null = null): Opening | null {
    this.#last = why;
    const isOpen = this.#untilMs(caller.tenant) !== null;
    // Of those that were on their way when it opened nothing more is learnt.
    if (isOpen && !probe) return null;
    if (probe) this.#probing = false;
    const untilMs = nowMs + this.#settings.openMs;
    if (isOpen) return this.#shutOutAlone(untilMs, caller.tenant);
    if (this.#counted.has(caller)) return null;
    this.#counted.add(caller);
    const own = (this.#failures.get(caller.tenant) ?? 0) + 1;
    this.#failures.set(caller.tenant, own);
    const counts = [...this.#failures.values()];
    const all = counts.reduce((sum, count) => sum + count, 0);
    const { failuresMax } = this.#settings;
    const ofOthers = all - Math.max(...counts);
    if (all >= failuresMax && ofOthers >= Math.min(othersMin, failuresMax)) return this.#openForAll(untilMs);
    return own < failuresMax ? null : this.#shutOutAlone(untilMs, caller.tenant);
  }

  /** The call was given up for reasons of its own. */
  left(probe: boolean): void {
    if (probe) this.#probing = false;
  }

  coolDown(forMs: number, nowMs: number): void {
    this.#coolUntilMs = Math.max(this.#coolUntilMs, nowMs + forMs);
  }

  /** As another instance tells; `tenant`: whose calls failed there, null where they were several's. */
  open(forMs: number, nowMs: number, tenant: string | null): void {
    if (tenant === null) return void this.#openForAll(nowMs + forMs);
    this.#failures.set(tenant, this.#settings.failuresMax);
    this.#shutOutAlone(nowMs + forMs, tenant);
  }

  close(): void {
    // Each answer closes it, and most have nothing to forget.
    if (this.#failures.size > 0 || this.isOpen()) {
      this.#counted = new WeakSet();
      this.#failures.clear();
    }
    this.#last = null;
    this.#openUntilMs = null;
    this.#shutOut = null;
    this.#probing = false;
  }

  #shutOutAlone(untilMs: number, tenant: string): Opening {
    if (this.#shutOut !== null && this.#shutOut.tenant !== tenant) return this.#openForAll(untilMs);
    this.#shutOut = { tenant, untilMs: Math.max(this.#shutOut?.untilMs ?? 0, untilMs) };
    return 'for the tenant';
  }

  #openForAll(untilMs: number): Opening {
    this.#failures.clear();
    this.#openUntilMs = Math.max(this.#openUntilMs ?? 0, this.#shutOut?.untilMs ?? 0, untilMs);
    this.#shutOut = null;
    return 'for all';
  }

  /** Null where that tenant's calls are admitted. */
  #untilMs(tenant: string): number | null {
    if (this.#shutOut?.tenant !== tenant) return this.#openUntilMs;
    return Math.max(this.#shutOut.untilMs, this.#openUntilMs ?? 0);
  }
}
