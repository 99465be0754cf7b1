import { CoppiceError } from '@coppice/contracts';
import { ByteBudget } from '../../byte-budget.ts';
import { bytesOfHeap } from '../../heap.ts';
import { httpLimits } from './limits.ts';

/** The room for what is read by half of all answers together, since each alone may be large. What is small needs none: no server can take that from another's answers. */
export class HalfReadRoom {
  readonly #budget: ByteBudget;

  constructor(bytesMax: number = bytesOfHeap(httpLimits.halfReadOfHeapMax, httpLimits.wholeBodyBytesMax)) {
    this.#budget = new ByteBudget('what is read by half of all answers', bytesMax);
  }

  get taken(): number {
    return this.#budget.taken;
  }

  /** For one answer of this provider, to be disposed of at its end. */
  hold(provider: string): HalfRead {
    return new HalfRead(provider, this.#budget);
  }
}

class HalfRead implements Disposable {
  readonly #provider: string;
  readonly #budget: ByteBudget;
  #taken = 0;

  constructor(provider: string, budget: ByteBudget) {
    this.#provider = provider;
    this.#budget = budget;
  }

  /** So much is read by half now. @throws CoppiceError `unavailable` where there is no room for it. */
  keep(bytes: number): void {
    const more = Math.max(0, bytes - httpLimits.halfReadFreeBytes) - this.#taken;
    if (!this.#budget.tryTake(more))
      throw new CoppiceError('unavailable', `${this.#provider}'s answer: too many large ones at once`);
    this.#taken += more;
  }

  [Symbol.dispose](): void {
    this.#budget.giveBack(this.#taken);
    this.#taken = 0;
  }
}
