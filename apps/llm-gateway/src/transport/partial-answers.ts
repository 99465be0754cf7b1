import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { bytesOfHeap } from '../heap.ts';
import { httpLimits } from './limits.ts';

/** Bytes for all partly received answers together, since each may be large. Small ones are not counted, so that no server can block another's answers. */
export const halfReadRoom = (
  bytesMax: number = bytesOfHeap(httpLimits.halfReadOfHeapMax, httpLimits.wholeBodyBytesMax),
): Admission => new Admission({ total: bytesMax });

/** The part of that room which one answer of this provider takes. Dispose of it at the end of the answer. */
export class HalfRead implements Disposable {
  readonly #provider: string;
  readonly #room: Admission;
  #taken = 0;

  constructor(provider: string, room: Admission) {
    this.#provider = provider;
    this.#room = room;
  }

  /** Sets the bytes that the answer holds now. @throws CoppiceError `unavailable` if there is no room for them. */
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
