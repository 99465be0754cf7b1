/** The value that is reported in place of a value beyond the limit. The GenAI and HTTP conventions use the same text for unknown values. */
export const otherValue = '_OTHER';

/**
 * Limits the number of different values of a label, if users choose its values. Until the process ends, the values that came first are reported unchanged. All
 * other values are reported as `_OTHER`.
 */
export class BoundedValues {
  readonly #admitted = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Returns the value if it was admitted before, or if the limit allows one more value. Otherwise returns `_OTHER`. */
  admit(value: string): string {
    if (this.#admitted.has(value)) return value;
    if (this.#admitted.size >= this.#countMax) return otherValue;
    this.#admitted.add(value);
    return value;
  }

  /** Returns the value if it was admitted before, otherwise `_OTHER`. Admits no new value. */
  known(value: string): string {
    return this.#admitted.has(value) ? value : otherValue;
  }
}
