type Clocks = { monotonicMs: () => number; wallMs: () => number };

/**
 * Smallest gain that counts as time passed, in milliseconds. Reading two clocks in turn, and slewing of the wall clock, cause less. Shorter suspensions count
 * once they add up to it.
 */
const jumpMsMin = 100;

/**
 * Clock that also counts the time in which this host is suspended, in milliseconds; it never goes back. On Linux the monotonic clock stops during a suspension,
 * while the wall clock includes that time. So the time that the wall clock gains over the monotonic clock is added, and a wall clock that is set back is
 * ignored.
 */
export class ElapsedTime {
  readonly #clocks: Clocks;
  /** Lead of the wall clock over the monotonic clock that is already counted, in milliseconds. */
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
