import { statSync } from 'node:fs';
import { Remembered } from '../git/remembered.ts';
import { bytesIn } from './space.ts';

const sizesMax = 100_000;

/** Sizes of what nobody changes any more, each measured once by a process. */
export class Sizes {
  readonly #known = new Remembered<number>(sizesMax);

  /** Null where it can't be found out. */
  async of(folder: string): Promise<number | null> {
    const stat = statSync(folder, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return 0;
    return this.remembered(`${folder} ${stat.ino} ${stat.ctimeNs}`, () => bytesIn(folder));
  }

  /** What `measure` tells, and told before for the same key. */
  async remembered(key: string, measure: () => Promise<number | null>): Promise<number | null> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const bytes = await measure();
    if (bytes !== null) this.#known.set(key, bytes);
    return bytes;
  }
}
