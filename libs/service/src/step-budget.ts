import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';

/** Milliseconds for which synchronous work may block the event loop. */
const turnMs = 5;
/** Number of steps between two readings of the clock. */
const stepsPerLook = 4_096;

/**
 * Makes long synchronous work yield to the event loop. Throws if the work is cancelled or exceeds its budget of steps.
 * The work yields after a fixed time, since the time for a step depends on what an agent wrote.
 */
export class StepBudget {
  readonly #stepsMax: number;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #yields = 0;
  #nextLook = stepsPerLook;
  #since = performance.now();

  /** @param options `what`: plural noun for the steps in the error message; default: `steps` */
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

  /** @throws CoppiceError `limit-exceeded` if the work exceeds its budget */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#stepsMax) {
      throw new CoppiceError('limit-exceeded', `it takes more than ${this.#stepsMax} ${this.#what}`, {
        details: { limit: this.#stepsMax, what: this.#what },
      });
    }
  }

  /** True if the work must call `yield` now. Cheap enough for a check after each step. */
  get due(): boolean {
    if (this.#steps < this.#nextLook) return false;
    this.#nextLook = this.#steps + stepsPerLook;
    return performance.now() - this.#since >= turnMs;
  }

  /**
   * Yields to the event loop.
   * @throws CoppiceError if the signal is aborted: the signal's reason if that is a CoppiceError, otherwise `cancelled`
   */
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
