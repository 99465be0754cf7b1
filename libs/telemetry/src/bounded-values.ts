/**
 * Value that replaces the values beyond the limit. The GenAI and HTTP conventions use the same text for unknown values.
 */
export const otherValue = '_OTHER';

/**
 * Limits the number of different values of a label that users choose. The first `countMax` values of a process are
 * reported unchanged. All other values are reported as `_OTHER`.
 */
export class BoundedValues {
  readonly #admitted = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Returns the value if it was admitted before or the limit allows one more. Otherwise returns `_OTHER`. */
  admit(value: string): string {
    if (this.#admitted.has(value)) return value;
    if (this.#admitted.size >= this.#countMax) return otherValue;
    this.#admitted.add(value);
    return value;
  }

  /** Like `admit`, but admits no new value. */
  known(value: string): string {
    return this.#admitted.has(value) ? value : otherValue;
  }
}
