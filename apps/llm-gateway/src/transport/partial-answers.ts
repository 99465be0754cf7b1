import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { bytesOfHeap } from '../heap.ts';
import { httpLimits } from './limits.ts';

/**
 * Creates the memory budget for all partly received answers together, in bytes. Small answers don't count, so that no
 * server can block the small answers of another server.
 */
export const halfReadRoom = (
  bytesMax: number = bytesOfHeap(httpLimits.halfReadOfHeapMax, httpLimits.wholeBodyBytesMax),
): Admission => new Admission({ total: bytesMax });

/** The share of `halfReadRoom` that one answer uses. Must be disposed at the end of the answer. */
export class HalfRead implements Disposable {
  readonly #provider: string;
  readonly #room: Admission;
  #taken = 0;

  constructor(provider: string, room: Admission) {
    this.#provider = provider;
    this.#room = room;
  }

  /**
   * Sets the number of bytes of the answer that are in memory now.
   * @throws CoppiceError `unavailable` if too little memory is left.
   */
  keep(bytes: number): void {
    const more = Math.max(0, bytes - httpLimits.halfReadFreeBytes) - this.#taken;
    if (!this.#room.tryTake(more))
      throw new CoppiceError('unavailable', `${this.#provider}'s answer: too many large ones at once`);
    this.#taken += more;
  }

  [Symbol.dispose](): void {
    this.#room.giveBack(this.#taken);
    this.#taken = 0;
  }
}
