type Clocks = { monotonicMs: () => number; wallMs: () => number };

/**
 * Smallest gain of the wall clock that counts as a suspension, in milliseconds. Smaller gains may come from reading the two clocks in turn, or from slewing of
 * the wall clock. Several short suspensions count once they add up to this value.
 */
const jumpMsMin = 100;

/**
 * Clock that also counts the time in which this host is suspended, in milliseconds; it never goes back. On Linux the monotonic clock stops during a suspension,
 * while the wall clock includes that time. So the time that the wall clock gains over the monotonic clock is added, and a wall clock that is set back is
 * ignored.
 */
export class ElapsedTime {
  readonly #clocks: Clocks;
  /** The part of the wall clock's lead over the monotonic clock that is already accounted for, in milliseconds. */
  #leadMs: number;
  #suspendedMs = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#leadMs = clocks.wallMs() - clocks.monotonicMs();
  }

  now(): number {
    const monotonicMs = this.#clocks.monotonicMs();
    const leadMs = this.#clocks.wallMs() - monotonicMs;
    const jumpMs = leadMs - this.#leadMs;
    if (jumpMs >= jumpMsMin) this.#suspendedMs += jumpMs;
    if (jumpMs >= jumpMsMin || jumpMs < 0) this.#leadMs = leadMs;
    return monotonicMs + this.#suspendedMs;
  }
}

const elapsed = new ElapsedTime({ monotonicMs: () => performance.now(), wallMs: () => Date.now() });

/** This process's clock for leases and for judging other processes: like `performance.now()`, but it includes the time during which the host is suspended. */
export const elapsedMs = (): number => elapsed.now();
