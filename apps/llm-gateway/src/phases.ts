/**
 * Runs the ready calls of one event loop turn together. All calls run one step, and then all run the next step. So the
 * code of a step is still in the processor's caches, which under load saves a large part of the cost of a call
 * (docs/decisions/0018). No call waits for a later event loop turn.
 */

type Callback = () => void;

/** Number of calls that run together. More calls would save nothing, and the first call would wait longer. */
const togetherMax = 16;

/** A step that the ready calls run together. */
export class Phase {
  readonly #begin: (run: Callback) => void;
  readonly #waiting: Callback[] = [];

  readonly #run = (): void => {
    for (const callback of this.#waiting.splice(0, togetherMax)) callback();
  };

  private constructor(begin: (run: Callback) => void) {
    this.#begin = begin;
  }

  /** Creates a phase that starts after all data that arrived in this event loop turn was read. */
  static afterReading(): Phase {
    return new Phase((run) => setImmediate(run));
  }

  /**
   * Creates a phase that starts after all pending promise callbacks have run. The writes of several calls then follow
   * one another directly, so that the receiving process usually needn't be woken for each. Waking it takes longer than
   * the write itself.
   */
  static afterWork(): Phase {
    return new Phase((run) => process.nextTick(run));
  }

  /** Adds a callback, which must not throw. Callbacks run in the order in which they were added. */
  add(callback: Callback): void {
    if (this.#waiting.push(callback) % togetherMax === 1) this.#begin(this.#run);
  }

  /** Resolves when the phase starts. */
  begun(): Promise<void> {
    return new Promise((resolve) => this.add(resolve));
  }
}
