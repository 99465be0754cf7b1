/**
 * Runs the ready calls of one event loop turn together, step by step, instead of one call from beginning to end after the other. Code that has just run is
 * still in the processor's caches, which under load saves a good part of the cost of a call (docs/decisions/0018). Nothing is delayed for it: all phases run in the same turn.
 */

type Callback = () => void;

/** More than this saves nothing more, and the first call would wait for the last. */
const togetherMax = 16;

/** A step at which the calls of one event loop turn meet. */
export class Phase {
  readonly #begin: (run: Callback) => void;
  readonly #waiting: Callback[] = [];

  readonly #run = (): void => {
    for (const callback of this.#waiting.splice(0, togetherMax)) callback();
  };

  private constructor(begin: (run: Callback) => void) {
    this.#begin = begin;
  }

  /** Starts after all that arrived in this turn was read. */
  static afterReading(): Phase {
    return new Phase((run) => setImmediate(run));
  }

  /** Starts after everything that can run has run. Waking a sleeping process takes longer than writing to it, and the reader of several writes in a row is mostly awake. */
  static afterWork(): Phase {
    return new Phase((run) => process.nextTick(run));
  }

  /** Adds a callback; callbacks run in order. They must not throw. */
  add(callback: Callback): void {
    if (this.#waiting.push(callback) % togetherMax === 1) this.#begin(this.#run);
  }

  /** Resolves when the phase starts. */
  begun(): Promise<void> {
    return new Promise((resolve) => this.add(resolve));
  }
}
