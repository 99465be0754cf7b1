import { CoppiceError } from '@coppice/contracts';

/** A limited number of bytes. */
export class ByteBudget {
  readonly #name: string;
  readonly #bytesMax: number;
  #taken: number;

  /** `name` says what is limited, for the error's text. */
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

  /** Takes all of the bytes, or none if there isn't enough. */
  tryTake(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }
}
