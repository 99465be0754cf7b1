/** What stands for every value over the bound. The GenAI and HTTP conventions use the same for what isn't known. */
export const otherValue = '_OTHER';

/**
 * Keeps a label that others choose from growing without end: the first values that were admitted keep their names for the life of the process, all others
 * are told as one.
 */
export class BoundedValues {
  readonly #admitted = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** The value, if it has a place or can be given one. */
  admit(value: string): string {
    if (this.#admitted.has(value)) return value;
    if (this.#admitted.size >= this.#countMax) return otherValue;
    this.#admitted.add(value);
    return value;
  }

  /** The value, if it has a place already. */
  known(value: string): string {
    return this.#admitted.has(value) ? value : otherValue;
  }
}
