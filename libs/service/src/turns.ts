import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';

/** How long one piece of synchronous work keeps everything else in this process waiting. */
const turnMs = 5;
/** The clock is looked at after this many steps. */
const stepsPerLook = 4_096;

/**
 * Long synchronous work gives others their turn by time, since what a step costs depends on what an agent wrote; and it ends when it is
 * cancelled, or over its budget of steps.
 */
export class Turns {
  readonly #stepsMax: number;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #yields = 0;
  #nextLook = stepsPerLook;
  #since = performance.now();

  /** `what` names the budget to whoever exceeds it. */
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

  /** Throws `limit-exceeded` when the budget is used up. */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#stepsMax) {
      throw new CoppiceError('limit-exceeded', `it takes more than ${this.#stepsMax} ${this.#what}`, {
        details: { limit: this.#stepsMax, what: this.#what },
      });
    }
  }

  /** Whether it is time to `give`; cheap. */
  get due(): boolean {
    if (this.#steps < this.#nextLook) return false;
    this.#nextLook = this.#steps + stepsPerLook;
    return performance.now() - this.#since >= turnMs;
  }

  /** Gives others their turn. Throws `cancelled`, or the signal's own reason. */
  async give(): Promise<void> {
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
