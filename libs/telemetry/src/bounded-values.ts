/** Replaces every value beyond the bound. The GenAI and HTTP conventions use the same text for unknown values. */
export const otherValue = '_OTHER';

/**
 * Limits the number of values of a label whose values users choose. The first values keep their names for the life of the process; all others
 * are reported as `_OTHER`.
 */
export class BoundedValues {
  readonly #admitted = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Returns the value if it was admitted before or the bound allows one more, else `_OTHER`. */
  admit(value: string): string {
    if (this.#admitted.has(value)) return value;
    if (this.#admitted.size >= this.#countMax) return otherValue;
    this.#admitted.add(value);
    return value;
  }

  /** Returns the value if it was admitted before, else `_OTHER`. Admits no new value. */
  known(value: string): string {
    return this.#admitted.has(value) ? value : otherValue;
  }
}
