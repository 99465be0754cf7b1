import { CoppiceError } from '@coppice/contracts';
import { ByteBudget } from './byte-budget.ts';
import { gatewayLimits } from './limits.ts';

/**
 * Limits for one answer, since a hostile server may never end its answer. Each class that keeps an answer in memory has
 * its own instance. The methods throw CoppiceError `limit-exceeded`.
 */
export class AnswerBounds {
  readonly #name: string;
  readonly #bytesMax: number;
  readonly #budget: ByteBudget;
  #parts = 0;
  #calls = 0;

  /** @param name the answer's name in errors, such as `acme's answer` */
  constructor(name: string, textBytesMax: number = gatewayLimits.textBytesMax) {
    this.#name = name;
    this.#bytesMax = textBytesMax;
    this.#budget = new ByteBudget(name, textBytesMax);
  }

  get bytes(): number {
    return this.#budget.taken;
  }

  take(text: string): void {
    if (!this.#budget.tryTake(Buffer.byteLength(text)))
      throw exceeded(`${this.#name} is over the limit of ${this.#bytesMax} bytes`);
  }

  /** Counts a text or thinking. If the wire format numbers pieces of these separately, each piece counts. */
  openPart(): void {
    if (++this.#parts > gatewayLimits.answerPartsMax) throw this.#tooMany(`${gatewayLimits.answerPartsMax} parts`);
  }

  openCall(): void {
    if (++this.#calls > gatewayLimits.toolCallsMax) throw this.#tooMany(`${gatewayLimits.toolCallsMax} tool calls`);
  }

  checkedName(text: string): string {
    return this.#checked('a name', text, gatewayLimits.answerNameCharactersMax);
  }

  checkedId(text: string): string {
    this.#checked('an id', text, gatewayLimits.answerIdCharactersMax);
    this.take(text);
    return text;
  }

  #checked(what: string, text: string, charactersMax: number): string {
    if (text.length <= charactersMax) return text;
    const complaint = `${what} in ${this.#name} has ${text.length} characters, over the limit of ${charactersMax}`;
    throw exceeded(complaint);
  }

  #tooMany(what: string): CoppiceError {
    return exceeded(`${this.#name} has more than ${what}`);
  }
}

/**
 * HTTP status 502 replaces the default status of `limit-exceeded`, which would mean that the client's request is too
 * large.
 */
const exceeded = (text: string): CoppiceError =>
  new CoppiceError('limit-exceeded', text, { details: { httpStatus: 502 } });
