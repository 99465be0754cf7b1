import { ByteBudget } from './byte-budget.ts';

type Waiting = { bytes: number; tell: (taken: boolean) => void };

/** Room for a number of bytes. Waiting requests are served in order, before new ones. */
export class Room {
  readonly #budget: ByteBudget;
  readonly #waitMsMax: number;
  readonly #waiting = new Set<Waiting>();

  constructor(name: string, bytesMax: number, waitMsMax: number) {
    this.#budget = new ByteBudget(name, bytesMax);
    this.#waitMsMax = waitMsMax;
  }

  /** Takes the bytes; false if there was no room in time. */
  async take(bytes: number): Promise<boolean> {
    if (this.#waiting.size === 0 && this.#budget.tryTake(bytes)) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting = { bytes, tell: resolve };
    this.#waiting.add(waiting);
    const timer = setTimeout(() => {
      this.#waiting.delete(waiting);
      resolve(false);
      // A smaller request may have waited behind this one.
      this.#serve();
    }, this.#waitMsMax);
    return promise.finally(() => clearTimeout(timer));
  }

  giveBack(bytes: number): void {
    this.#budget.giveBack(bytes);
    this.#serve();
  }

  #serve(): void {
    for (const waiting of this.#waiting) {
      if (!this.#budget.tryTake(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      waiting.tell(true);
    }
  }
}
