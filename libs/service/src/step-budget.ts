import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';

/** Time that synchronous work may block the event loop. */
const turnMs = 5;
/** Number of steps between two reads of the clock. */
const stepsPerLook = 4_096;

/**
 * Lets long synchronous work yield to the event loop. It yields by time, since the cost of a step depends on what an agent wrote. The work ends when it
 * is cancelled or exceeds its budget of steps.
 */
export class StepBudget {
  readonly #stepsMax: number;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #yields = 0;
  #nextLook = stepsPerLook;
  #since = performance.now();

  /** @param options `what`: name of the steps in the error message */
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

  /** Counts steps. Throws `limit-exceeded` when the budget is used up. */
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
