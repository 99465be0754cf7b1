import { CoppiceError } from '@coppice/contracts';
import { ByteBudget } from '../byte-budget.ts';
import { bytesOfHeap } from '../heap.ts';
import { httpLimits } from './limits.ts';

/** Bounds the memory for all partly received answers together, since each may be large. Small ones are not counted, so that no server can block another's answers. */
export class HalfReadRoom {
  readonly #budget: ByteBudget;

  constructor(bytesMax: number = bytesOfHeap(httpLimits.halfReadOfHeapMax, httpLimits.wholeBodyBytesMax)) {
    this.#budget = new ByteBudget('what is read by half of all answers', bytesMax);
  }

  get taken(): number {
    return this.#budget.taken;
  }

  /** Opens an account for one answer of this provider. Dispose of it at the end of the answer. */
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

  /** Sets the bytes that the answer holds now. @throws CoppiceError `unavailable` if there is no room for them. */
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
