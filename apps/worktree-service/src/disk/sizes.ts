import { statSync } from 'node:fs';
import { Remembered } from '../git/remembered.ts';
import { bytesIn, weightIn } from './space.ts';

const sizesMax = 100_000;

/** Sizes of what nobody changes any more, each measured once by a process. */
export class Sizes {
  readonly #known = new Remembered<number>(sizesMax);

  /** Null where it can't be found out. */
  async of(folder: string): Promise<number | null> {
    return this.#measured(folder, bytesIn);
  }

  /** What a folder counts for within a bound, its inodes included. */
  async weightOf(folder: string): Promise<number | null> {
    return this.#measured(folder, weightIn);
  }

  async #measured(folder: string, measure: (folder: string) => Promise<number | null>): Promise<number | null> {
    const stat = statSync(folder, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return 0;
    return this.remembered(`${measure.name} ${folder} ${stat.ino} ${stat.ctimeNs}`, () => measure(folder));
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
