/**
 * What a process knows about its own key in KV `coppice-members`. Times are milliseconds of `elapsedMs()`, which
 * includes the time in which the host is suspended.
 *
 * Invariants:
 * 1. The server keeps the key for `lostAfterMs` after it stores a write. So, once a write is confirmed, the key
 *    certainly exists until `lostAfterMs` after that write was sent.
 * 2. A lapse is a time that no confirmed write covers. During a lapse other processes may have judged this process
 *    lost. Each lapse starts a new epoch.
 * 3. `soundSince` is the start of the current period in which this process was connected, running and a member without
 *    interruption. A process judges others lost only within such a period, since the cause of an interruption may have
 *    affected them too.
 */
export class Lease {
  readonly #lostAfterMs: number;
  #coveredUntil = Number.NEGATIVE_INFINITY;
  #lapsed = true;
  #epoch = 0;
  #soundSince: number | null = null;
  #interruptedAt = Number.NEGATIVE_INFINITY;
  #tickedAt: number | null = null;

  constructor(lostAfterMs: number) {
    this.#lostAfterMs = lostAfterMs;
  }

  /** Returns true if the key certainly exists. */
  isValid(nowMs: number): boolean {
    this.#look(nowMs);
    return !this.#lapsed;
  }

  /** Number of lapses so far. A claim that was confirmed in an earlier epoch must be confirmed again. */
  epoch(nowMs: number): number {
    this.#look(nowMs);
    return this.#epoch;
  }

  /** Start of the current period without interruption (invariant 3), or null during an interruption. */
  soundSince(nowMs: number): number | null {
    this.#look(nowMs);
    return this.#soundSince;
  }

  /**
   * Records a tick of the timer, which should fire three times per `lostAfterMs`. If a tick is a full interval late,
   * this process was suspended or got no CPU time.
   */
  tick(nowMs: number): void {
    this.#look(nowMs);
    this.#tickedAt = nowMs;
  }

  /** Records that the connection was lost or a tick was too late. */
  interrupt(nowMs: number): void {
    this.#soundSince = null;
    this.#interruptedAt = nowMs;
  }

  /** Records that the server has confirmed the write that was sent at `sentAtMs`. */
  confirm(sentAtMs: number, nowMs: number): void {
    this.#look(sentAtMs);
    this.#coveredUntil = Math.max(this.#coveredUntil, sentAtMs + this.#lostAfterMs);
    if (this.#coveredUntil <= nowMs) return;
    this.#lapsed = false;
    if (this.#soundSince === null && sentAtMs >= this.#interruptedAt) this.#soundSince = nowMs;
  }

  #look(nowMs: number): void {
    if (this.#tickedAt !== null && nowMs - this.#tickedAt > (this.#lostAfterMs * 2) / 3) this.interrupt(nowMs);
    if (this.#lapsed || nowMs < this.#coveredUntil) return;
    this.#lapsed = true;
    this.#epoch++;
    this.interrupt(nowMs);
  }
}
