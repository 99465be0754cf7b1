type Clocks = { monotonicMs: () => number; wallMs: () => number };

/** Reading two clocks one after the other, and slewing of the wall clock, stay below this; what is less than this goes unnoticed. */
const jumpMsMin = 100;

/**
 * Milliseconds that have passed for others, never going back. On Linux the monotonic clock stands still while the host is suspended; the wall clock shows that time when the host
 * is back. So a wall clock that gets ahead of the monotonic one counts as time passed, and one that is set back does not count at all.
 */
export class ElapsedTime {
  readonly #clocks: Clocks;
  /** The wall clock's lead over the monotonic clock, up to which it is accounted for. */
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

/** This process's clock for leases and for judging others: like `performance.now()`, but it goes on while the host is suspended. */
export const elapsedMs = (): number => elapsed.now();
