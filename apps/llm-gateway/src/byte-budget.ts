import { CoppiceError } from '@coppice/contracts';

/** How many bytes something may still have. */
export class ByteBudget {
  readonly #name: string;
  readonly #bytesMax: number;
  #taken: number;

  /** `name` says what is bounded, for the error's text. */
  constructor(name: string, bytesMax: number, taken = 0) {
    this.#name = name;
    this.#bytesMax = bytesMax;
    this.#taken = taken;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @throws CoppiceError `limit-exceeded`. */
  take(bytes: number): void {
    if (!this.tryTake(bytes))
      throw new CoppiceError('limit-exceeded', `${this.#name} is over the limit of ${this.#bytesMax} bytes`);
  }

  /** Takes nothing where there isn't enough. */
  tryTake(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }
}
