type Clocks = { monotonicMs: () => number; wallMs: () => number };

/**
 * Smallest gain of the wall clock that counts as a suspension, in milliseconds. Smaller gains may come from slewing, or
 * from the time between reading the two clocks. The gains of short suspensions add up until they reach this value.
 */
const jumpMsMin = 100;

/**
 * Clock in milliseconds that includes the time in which the host is suspended, and never goes back. During a suspension
 * on Linux, the wall clock continues and the monotonic clock stops. So this clock adds what the wall clock gains over
 * the monotonic clock. If the wall clock is set back, this clock continues unchanged.
 */
export class ElapsedTime {
  readonly #clocks: Clocks;
  /** Lead of the wall clock over the monotonic clock when a gain or a setback was last recorded, in milliseconds. */
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

/** Returns the time for deciding on leases and lost processes, which includes suspensions of the host. */
export const elapsedMs = (): number => elapsed.now();
