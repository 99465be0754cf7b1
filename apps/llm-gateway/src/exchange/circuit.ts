/** Of one model of one provider: whether it is asked just now. Times are in milliseconds of one clock of the caller's that never goes back. */

export type CircuitSettings = {
  /** So many failures in a row open it. */
  failuresMax: number;
  /** How long it then stays open, before one call may try. */
  openMs: number;
};

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

/**
 * Breaker and cool-down in one.
 *
 * The breaker: closed it admits all; after `failuresMax` failures in a row it is open and admits nobody for `openMs`; then it admits one call, the probe, whose first
 * output closes it, and whose failure opens it again. A probe that is left is no failure: the next call is the probe.
 *
 * The cool-down: nobody is admitted until the time is over that the provider asked for.
 */
export class Circuit {
  readonly #settings: CircuitSettings;
  #failures = 0;
  #last: LastFailure | null = null;
  /** Null where the breaker is closed. */
  #openUntilMs: number | null = null;
  #probing = false;
  #coolUntilMs = 0;

  constructor(settings: CircuitSettings) {
    this.#settings = settings;
  }

  isOpen(): boolean {
    return this.#openUntilMs !== null;
  }

  isCooling(nowMs: number): boolean {
    return nowMs < this.#coolUntilMs;
  }

  /** What `admit` would say, without a call that wants to ask. */
  look(nowMs: number): Admission {
    if (nowMs < this.#coolUntilMs) return { admitted: false, forMs: this.#coolUntilMs - nowMs, why: 'cooling' };
    if (this.#openUntilMs === null) return { admitted: true, probe: false };
    const waiting = { admitted: false, why: 'failing', last: this.#last } as const;
    if (nowMs < this.#openUntilMs) return { ...waiting, forMs: this.#openUntilMs - nowMs };
    return this.#probing ? { ...waiting, forMs: probeLookMs } : { admitted: true, probe: true };
  }

  /** Whoever is admitted tells what came of it: `began`, then `answered` or `failed`; or `left`. */
  admit(nowMs: number): Admission {
    const admission = this.look(nowMs);
    if (admission.admitted && admission.probe) this.#probing = true;
    return admission;
  }

  /** The answer began. @returns whether that closed the breaker. */
  began(probe: boolean): boolean {
    if (!probe || !this.#probing) return false;
    this.#probing = false;
    this.#openUntilMs = null;
    // One that begins its answers and breaks them off is open again at once.
    this.#failures = this.#settings.failuresMax - 1;
    return true;
  }

  /** It is there: it answered, or refused the request for what the request is. @returns whether that closed the breaker. */
  answered(): boolean {
    const closed = this.#openUntilMs !== null;
    this.close();
    return closed;
  }

  /** @returns whether that opened the breaker, or opened it anew. */
  failed(probe: boolean, nowMs: number, why: LastFailure | null = null): boolean {
    this.#last = why;
    // Of those that were on their way when it opened nothing more is learnt.
    if (this.#openUntilMs !== null && !probe) return false;
    this.#failures++;
    if (probe) this.#probing = false;
    if (this.#openUntilMs === null && this.#failures < this.#settings.failuresMax) return false;
    this.#openUntilMs = nowMs + this.#settings.openMs;
    return true;
  }

  /** The call was given up for reasons of its own. */
  left(probe: boolean): void {
    if (probe) this.#probing = false;
  }

  coolDown(forMs: number, nowMs: number): void {
    this.#coolUntilMs = Math.max(this.#coolUntilMs, nowMs + forMs);
  }

  /** As another instance tells. */
  open(forMs: number, nowMs: number): void {
    this.#failures = Math.max(this.#failures, this.#settings.failuresMax);
    this.#openUntilMs = Math.max(this.#openUntilMs ?? 0, nowMs + forMs);
  }

  close(): void {
    this.#failures = 0;
    this.#last = null;
    this.#openUntilMs = null;
    this.#probing = false;
  }
}
