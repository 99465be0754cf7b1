/** Value that replaces all values over the bound. The GenAI and HTTP conventions use the same for unknown values. */
export const otherValue = '_OTHER';

/**
 * Bounds the number of values of a label that users choose. The first admitted values keep their names for the life of the process; all others
 * are reported as `_OTHER`.
 */
export class BoundedValues {
  readonly #admitted = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Returns the value if it is admitted already or the bound allows it, else `_OTHER`. */
  admit(value: string): string {
    if (this.#admitted.has(value)) return value;
    if (this.#admitted.size >= this.#countMax) return otherValue;
    this.#admitted.add(value);
    return value;
  }

  /** Returns the value if it is admitted already, else `_OTHER`. */
  known(value: string): string {
    return this.#admitted.has(value) ? value : otherValue;
  }
}
