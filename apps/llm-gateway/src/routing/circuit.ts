/**
 * The circuit breaker of one model at one provider. All times are milliseconds on one monotonic clock, which the caller
 * provides.
 */

/** Identity of a call. All attempts of a call must pass the same object. */
export type Caller = { tenant: string };

export type CircuitSettings = {
  /** Consecutive failed calls that open the breaker. */
  failuresMax: number;
  /** Time for which the breaker stays open before one call may probe. */
  openMs: number;
};

/** The tenants for which the breaker opened. These are all tenants, or only the one whose calls failed. */
export type Opening = 'for all' | 'for the tenant';

export type LastFailure = {
  /** Tenant of the failed call. No other tenant gets the message, since it may quote the request. */
  tenant: string;
  message: string;
  /** HTTP status; null if there was none. */
  status: number | null;
};

/** The decision about a call that wants to try the model. */
export type Admission =
  | { admitted: true; probe: boolean }
  /**
   * `forMs` is the time until the call may try the model. While another call probes, it is the time until the waiting
   * call checks again.
   */
  | { admitted: false; forMs: number; why: 'cooling' }
  /** `last` is null if only another instance of the gateway saw the failure. */
  | { admitted: false; forMs: number; why: 'failing'; last: LastFailure | null };

/** Interval at which a waiting call checks whether a probe has ended. */
const probeLookMs = 250;

/**
 * The breaker opens for all tenants only if this number of failures isn't of the tenant with the most failures. If
 * `failuresMax` is smaller, it applies instead.
 */
const othersMin = 2;

/**
 * Circuit breaker and cool-down in one.
 *
 * The breaker is closed at first, and admits all calls. After `failuresMax` consecutive failed calls it opens, and
 * admits no call for `openMs`. Then it admits one call, the probe. The probe's first output closes the breaker. A
 * failed probe opens it again. If the caller abandons the probe, the next call becomes the probe.
 *
 * A tenant's own requests may cause the failures. So after `failuresMax` failed calls of one tenant, the breaker opens
 * for this tenant alone. It opens for all tenants only if `othersMin` of the consecutive failures belong to tenants
 * other than the one with the most failures. A failed probe also opens it for the probe's tenant alone, and then a call
 * of another tenant may probe. If that probe fails, too, the breaker opens for all. An answer to any tenant closes the
 * breaker for all.
 *
 * The cool-down admits no call until the wait that the provider stated is over.
 */
export class Circuit {
  readonly #settings: CircuitSettings;
  /** Consecutive failed calls by tenant. Reset when the breaker closes or opens for all tenants. */
  readonly #failures = new Map<string, number>();
  /** Calls whose failure was counted. Further failed attempts of these calls don't count. */
  #counted = new WeakSet<Caller>();
  #last: LastFailure | null = null;
  /** End of the time for which the breaker is open for all tenants, or null. */
  #openUntilMs: number | null = null;
  /** Set while the breaker is open for a single tenant, whose calls are rejected until `untilMs`. */
  #shutOut: { tenant: string; untilMs: number } | null = null;
  #probing = false;
  #coolUntilMs = 0;

  constructor(settings: CircuitSettings) {
    this.#settings = settings;
  }

  /** Reports whether the breaker is open for at least one tenant. */
  isOpen(): boolean {
    return this.#openUntilMs !== null || this.#shutOut !== null;
  }

  isOpenForAll(): boolean {
    return this.#openUntilMs !== null;
  }

  isCooling(nowMs: number): boolean {
    return nowMs < this.#coolUntilMs;
  }

  look(nowMs: number, tenant: string): Admission {
    if (nowMs < this.#coolUntilMs) return { admitted: false, forMs: this.#coolUntilMs - nowMs, why: 'cooling' };
    const untilMs = this.#untilMs(tenant);
    if (untilMs === null) return { admitted: true, probe: false };
    const waiting = { admitted: false, why: 'failing', last: this.#last } as const;
    if (nowMs < untilMs) return { ...waiting, forMs: untilMs - nowMs };
    return this.#probing ? { ...waiting, forMs: probeLookMs } : { admitted: true, probe: true };
  }

  /**
   * Admits or rejects a call. For an admitted call, the caller must call `began` at the first output, and one of
   * `answered`, `failed` and `left` at the end.
   */
  admit(nowMs: number, tenant: string): Admission {
    const admission = this.look(nowMs, tenant);
    if (admission.admitted && admission.probe) this.#probing = true;
    return admission;
  }

  /**
   * Records that the answer began.
   * @returns true if that closed the breaker.
   */
  began(probe: boolean, tenant: string): boolean {
    if (!probe || !this.#probing) return false;
    this.close();
    // If this answer is cut later, the breaker opens again at once, at least for this tenant.
    this.#failures.set(tenant, this.#settings.failuresMax - 1);
    return true;
  }

  /**
   * Records that the provider works, since it answered or rejected the request's content.
   * @returns true if that closed the breaker.
   */
  answered(): boolean {
    const wasOpen = this.isOpen();
    this.close();
    return wasOpen;
  }

  /**
   * Records a failed call.
   * @returns the tenants for which this failure opened the breaker, or null. A failed probe opens it again.
   */
  failed(probe: boolean, nowMs: number, caller: Caller, why: LastFailure | null = null): Opening | null {
    this.#last = why;
    const isOpen = this.#untilMs(caller.tenant) !== null;
    // A call that was admitted before the breaker opened adds no information.
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

  /** Records that the caller abandoned the call, which isn't a failure. */
  left(probe: boolean): void {
    if (probe) this.#probing = false;
  }

  coolDown(forMs: number, nowMs: number): void {
    this.#coolUntilMs = Math.max(this.#coolUntilMs, nowMs + forMs);
  }

  /**
   * Opens the breaker because of another instance's message. `tenant` is the tenant whose calls failed there, or null
   * for several tenants.
   */
  open(forMs: number, nowMs: number, tenant: string | null): void {
    if (tenant === null) return void this.#openForAll(nowMs + forMs);
    this.#failures.set(tenant, this.#settings.failuresMax);
    this.#shutOutAlone(nowMs + forMs, tenant);
  }

  close(): void {
    this.#counted = new WeakSet();
    this.#failures.clear();
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

  /** Returns the time until which the tenant's calls are rejected, or null if the breaker is closed for the tenant. */
  #untilMs(tenant: string): number | null {
    if (this.#shutOut?.tenant !== tenant) return this.#openUntilMs;
    return Math.max(this.#shutOut.untilMs, this.#openUntilMs ?? 0);
  }
}
