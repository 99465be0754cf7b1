/**
 * What a process knows about its own key in KV `coppice-members`. Pure: all times are milliseconds of `elapsedMs()`, which goes on while the host is suspended.
 *
 * Invariants:
 * 1. The key lives `lostAfterMs` from when the server stores it, so from the moment a confirmed write was sent it is certainly there for `lostAfterMs`.
 * 2. A time that no confirmed write covers is a lapse: others may have judged this process lost meanwhile. Each lapse begins a new epoch.
 * 3. `soundSince` is the start of the time in which this process was connected, ran, and was a member without interruption. A process judges others only by such a time,
 *    because what interrupted it may have interrupted them too.
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

  /** Whether the key is certainly there. */
  isValid(nowMs: number): boolean {
    this.#look(nowMs);
    return !this.#lapsed;
  }

  /** Grows with each lapse. What was true of a claim in an earlier epoch has to be looked up again. */
  epoch(nowMs: number): number {
    this.#look(nowMs);
    return this.#epoch;
  }

  /** Null while there is an interruption. */
  soundSince(nowMs: number): number | null {
    this.#look(nowMs);
    return this.#soundSince;
  }

  /** The timer fires, as it should three times in `lostAfterMs`. One that comes late by as long again tells that this process was stopped, or had no processor. */
  tick(nowMs: number): void {
    this.#look(nowMs);
    this.#tickedAt = nowMs;
  }

  /** The connection was lost, or the time since the last tick can't be accounted for. */
  interrupt(nowMs: number): void {
    this.#soundSince = null;
    this.#interruptedAt = nowMs;
  }

  /** The server has confirmed a write that was sent at that time. */
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
