import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';

/** Maximum time for which synchronous work blocks the event loop. */
const turnMs = 5;
/** Number of steps after which the clock is read again. */
const stepsPerLook = 4_096;

/**
 * Lets long synchronous work yield to the event loop, and throws when the work is cancelled or exceeds its budget of steps. The work yields after a time, not after
 * a number of steps, since the cost of a step depends on what an agent wrote.
 */
export class StepBudget {
  readonly #stepsMax: number;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #yields = 0;
  #nextLook = stepsPerLook;
  #since = performance.now();

  /** @param options `what`: name of the steps in the error message, in the plural */
  constructor(options: { stepsMax?: number; what?: string; signal?: AbortSignal | undefined } = {}) {
    this.#stepsMax = options.stepsMax ?? Number.MAX_SAFE_INTEGER;
    this.#what = options.what ?? 'steps';
    this.#signal = options.signal;
  }

  get steps(): number {
    return this.#steps;
  }

  get yields(): number {
    return this.#yields;
  }

  /** Counts steps. Throws `limit-exceeded` when the work exceeds its budget. */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#stepsMax) {
      throw new CoppiceError('limit-exceeded', `it takes more than ${this.#stepsMax} ${this.#what}`, {
        details: { limit: this.#stepsMax, what: this.#what },
      });
    }
  }

  /** True when it is time to call `yield`; cheap. */
  get due(): boolean {
    if (this.#steps < this.#nextLook) return false;
    this.#nextLook = this.#steps + stepsPerLook;
    return performance.now() - this.#since >= turnMs;
  }

  /** Yields to the event loop. Throws `cancelled`, or the signal's reason, when aborted. */
  async yield(): Promise<void> {
    this.#yields++;
    await yieldToOthers();
    if (this.#signal?.aborted) {
      throw this.#signal.reason instanceof CoppiceError
        ? this.#signal.reason
        : new CoppiceError('cancelled', 'it was cancelled');
    }
    this.#since = performance.now();
  }
}
