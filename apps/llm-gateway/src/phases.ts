/**
 * Runs the ready calls of one event loop turn together: the same step of all calls, then the next step, instead of one call after another. Code that has just
 * run is still in the processor's caches, which under load saves a large part of the cost of a call (docs/decisions/0018). This delays no call to a later event
 * loop turn.
 */

type Callback = () => void;

/** Calls that run together. More would save nothing, and the first call would wait for the last. */
const togetherMax = 16;

/** A step that the ready calls of one event loop turn run together. */
export class Phase {
  readonly #begin: (run: Callback) => void;
  readonly #waiting: Callback[] = [];

  readonly #run = (): void => {
    for (const callback of this.#waiting.splice(0, togetherMax)) callback();
  };

  private constructor(begin: (run: Callback) => void) {
    this.#begin = begin;
  }

  /** Creates a phase that starts after everything that arrived in this event loop turn was read. */
  static afterReading(): Phase {
    return new Phase((run) => setImmediate(run));
  }

  /**
   * Creates a phase that starts after all pending promise callbacks have run. The writes of several calls then follow one another, so that the receiving
   * process is mostly still awake: waking it takes longer than the write itself.
   */
  static afterWork(): Phase {
    return new Phase((run) => process.nextTick(run));
  }

  /** Adds a callback. Callbacks run in the order in which they were added, and must not throw. */
  add(callback: Callback): void {
    if (this.#waiting.push(callback) % togetherMax === 1) this.#begin(this.#run);
  }

  /** Resolves when the phase starts. */
  begun(): Promise<void> {
    return new Promise((resolve) => this.add(resolve));
  }
}
