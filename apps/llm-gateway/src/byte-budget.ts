import { CoppiceError } from '@coppice/contracts';

export class ByteBudget {
  readonly #name: string;
  readonly #bytesMax: number;
  #taken: number;

  /** @param name names the limited data in errors, such as `the prompt` */
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

  /** Takes all of the bytes and returns true. If they don't fit, takes none and returns false. */
  tryTake(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }
}
