/**
 * What of many calls is ready in the same turn of the event loop goes on together, step by step, and not one call from its beginning to its end after the other: code that has just run is
 * still in the processor's caches, which under load saves a good part of what a call costs (docs/decisions/0018). Nothing is held back for it: all phases belong to the same turn.
 */

type Callback = () => void;

/** With more nothing more is saved, and the first would wait for the last. */
const togetherMax = 16;

/** A step at which the calls of one turn come together. */
export class Phase {
  readonly #begin: (run: Callback) => void;
  readonly #waiting: Callback[] = [];

  readonly #run = (): void => {
    for (const callback of this.#waiting.splice(0, togetherMax)) callback();
  };

  private constructor(begin: (run: Callback) => void) {
    this.#begin = begin;
  }

  /** Begins after all that the turn brought was read. */
  static afterReading(): Phase {
    return new Phase((run) => setImmediate(run));
  }

  /** Begins after all that can go on by itself has gone on. To wake a process that sleeps takes longer than to write, and what is written in a row mostly finds its reader awake. */
  static afterWork(): Phase {
    return new Phase((run) => process.nextTick(run));
  }

  /** In the order in which they come. It may not throw. */
  add(callback: Callback): void {
    if (this.#waiting.push(callback) % togetherMax === 1) this.#begin(this.#run);
  }

  /** Until it begins. */
  begun(): Promise<void> {
    return new Promise((resolve) => this.add(resolve));
  }
}
