import { ByteBudget } from './byte-budget.ts';

type Waiting = { bytes: number; tell: (taken: boolean) => void };

/** Room for so many bytes. Who waits is served in turn, and before a newcomer. */
export class Room {
  readonly #budget: ByteBudget;
  readonly #waitMsMax: number;
  readonly #waiting = new Set<Waiting>();

  constructor(name: string, bytesMax: number, waitMsMax: number) {
    this.#budget = new ByteBudget(name, bytesMax);
    this.#waitMsMax = waitMsMax;
  }

  /** False where there was none in time. */
  async take(bytes: number): Promise<boolean> {
    if (this.#waiting.size === 0 && this.#budget.tryTake(bytes)) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting = { bytes, tell: resolve };
    this.#waiting.add(waiting);
    const timer = setTimeout(() => {
      this.#waiting.delete(waiting);
      resolve(false);
      // It may have stood before one for which there is room.
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
