import { statSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { bytesIn, weightIn } from './space.ts';

const sizesMax = 100_000;

/** Sizes of folders and commits that no longer change. Each size is measured once per process. */
export class Sizes {
  readonly #known = new LRUCache<string, number>({ max: sizesMax });

  /** Returns null if the size can't be measured. */
  async of(folder: string): Promise<number | null> {
    return this.#measured(folder, bytesIn);
  }

  /** Size with which a folder counts towards a limit: see `weightIn`. Null if it can't be measured. */
  async weightOf(folder: string): Promise<number | null> {
    return this.#measured(folder, weightIn);
  }

  async #measured(folder: string, measure: (folder: string) => Promise<number | null>): Promise<number | null> {
    const stat = statSync(folder, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return 0;
    return this.remembered(`${measure.name} ${folder} ${stat.ino} ${stat.ctimeNs}`, () => measure(folder));
  }

  /** Returns the remembered size, or calls `measure` and remembers its result unless it is null. */
  async remembered(key: string, measure: () => Promise<number | null>): Promise<number | null> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const bytes = await measure();
    if (bytes !== null) this.#known.set(key, bytes);
    return bytes;
  }
}
