type Clocks = { monotonicMs: () => number; wallMs: () => number };

/** Smallest lead that counts as a jump, in milliseconds. Reading two clocks in turn, and slewing of the wall clock, cause less; smaller suspensions go unnoticed. */
const jumpMsMin = 100;

/**
 * Milliseconds that have passed for other hosts; it never goes back. On Linux the monotonic clock stands still while the host is suspended; the wall clock includes that
 * time. So a lead that the wall clock gains over the monotonic clock counts as time passed, and a wall clock that is set back is ignored.
 */
export class ElapsedTime {
  readonly #clocks: Clocks;
  /** The part of the wall clock's lead over the monotonic clock that is already counted. */
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
