/** Keeps the last `count` lines. Uses memory for about twice as many. */
export class Tail {
  readonly #count: number;
  #lines: string[] = [];
  #added = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(lines: readonly string[]): void {
    this.#added += lines.length;
    this.#lines.push(...lines);
    if (this.#lines.length > 2 * this.#count) this.#lines = this.#lines.slice(-this.#count);
  }

  /** `earlier` is the number of dropped lines. */
  end(): { lines: string[]; earlier: number } {
    const lines = this.#lines.slice(-this.#count);
    return { lines, earlier: this.#added - lines.length };
  }
}
