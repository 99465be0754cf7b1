/**
 * One answer on its way to a client: what a provider of the same wire says is passed on as it came, another's is written anew.
 *
 * Invariants:
 * 1. An error before the stream's status was told is an HTTP error; after it, it is told in the wire's own words, and what then is missing is the end of a whole
 *    answer. The body ends after such words, as the vendors' does: clients that see the connection break take that for the error. Without them, and in an array, whose
 *    elements are no place for an error, the connection breaks.
 * 2. Nothing is asked of the provider while the client has yet to read what came before.
 */
import type { CoppiceError } from '@coppice/contracts';
import type { Exchange } from '../../exchange/exchange.ts';
import type { ModelDelta, ModelDeltas } from '../../provider/port.ts';
import { streamHeaders, wholeAnswerHeaders } from './answer-headers.ts';
import type { CallResult } from './answer-headers.ts';
import type { AnswerWriter, Question } from './door.ts';
import { FrameEncoder, contentTypes } from './framing.ts';
import type { Kept } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import type { Outlet } from './outlet.ts';

/** `keep`: what clients may name by its id from now on. `keepsPassed`: also of a provider of the same wire, since one of another may be asked next. */
type Sending = {
  outlet: Outlet;
  keep: (kept: readonly Kept[]) => Promise<void>;
  keepsPassed: boolean;
  exchange: Pick<Exchange, 'deltas'> & { result: CallResult };
};

export class AnswerSender {
  readonly #question: Question;
  readonly #encoder: FrameEncoder;
  readonly #writer: AnswerWriter;
  readonly #outlet: Outlet;
  readonly #keep: Sending['keep'];
  readonly #keepsPassed: boolean;
  readonly #exchange: Sending['exchange'];
  readonly #startedAtMs = performance.now();
  /** Of what wasn't told yet. */
  readonly #unkept: Kept[] = [];
  /** Whether a provider of the same wire answers. */
  #passing = false;

  constructor(question: Question, writer: AnswerWriter, { outlet, exchange, keep, keepsPassed }: Sending) {
    this.#question = question;
    this.#exchange = exchange;
    this.#encoder = new FrameEncoder(question.framing);
    this.#writer = writer;
    this.#outlet = outlet;
    this.#keep = keep;
    this.#keepsPassed = keepsPassed;
  }

  /** @throws CoppiceError as the exchange's deltas; a stream that was begun by then is to be ended early. */
  async send(): Promise<void> {
    const { deltas, result } = this.#exchange;
    if (!this.#question.stream) return this.#sendWhole(deltas, result);
    const timer = setInterval(() => this.#keepAlive(), facadeLimits.silenceMsMax);
    try {
      for await (const together of deltas) {
        const told = together.map((delta) => this.#told(delta)).join('');
        if (this.#unkept.length > 0) await this.#keep(this.#unkept.splice(0));
        const full = this.#write(told);
        if (full !== null) await full;
      }
    } finally {
      clearInterval(timer);
    }
    this.#begin(streamHeaders(result));
    const last = this.#passing ? this.#writer.passedOn() : this.#writer.end();
    if (!this.#passing) await this.#keep(this.#writer.kept?.() ?? []);
    this.#outlet.end(`${this.#encoder.encode(last)}${this.#encoder.close()}`);
  }

  /** Tells of an error in the middle of a stream. */
  endEarly(error: CoppiceError): Promise<void> {
    const told = this.#encoder.encode(this.#writer.fail(error));
    const isHeard = told !== '' && this.#question.framing !== 'json-array';
    return isHeard ? this.#outlet.endEarly(told) : this.#outlet.breakOff(told);
  }

  async #sendWhole(deltas: ModelDeltas, result: CallResult): Promise<void> {
    let passed: string | null = null;
    for await (const together of deltas) {
      for (const delta of together) {
        if (delta.type !== 'raw') {
          if (passed === null) this.#writer.delta(delta);
        } else if (delta.whole) passed = delta.data;
      }
    }
    const body = passed ?? JSON.stringify(this.#writer.whole());
    const kept = passed === null ? this.#writer.kept?.() : this.#keptOf(passed, true);
    if (kept !== undefined && kept.length > 0) await this.#keep(kept);
    const headers = wholeAnswerHeaders(result);
    headers['content-type'] = 'application/json; charset=utf-8';
    await this.#outlet.canBeWritten();
    this.#outlet.whole(200, headers, body);
  }

  /** As the client reads it; empty for what it isn't told. */
  #told(delta: ModelDelta): string {
    if (delta.type !== 'raw') return this.#passing ? '' : this.#encoder.encode(this.#writer.delta(delta));
    // A whole answer to a request for a stream is told anew, as a stream.
    if (delta.whole) return '';
    this.#passing = true;
    this.#unkept.push(...this.#keptOf(delta.data, false));
    const frame = this.#writer.passOn({ name: delta.name, data: delta.data });
    return frame === null ? '' : this.#encoder.encode([frame]);
  }

  #keptOf(data: string, whole: boolean): readonly Kept[] {
    return this.#keepsPassed ? (this.#writer.keptPassed?.(data, whole) ?? []) : [];
  }

  #write(text: string): Promise<void> | null {
    if (text === '') return null;
    // Once: most pieces of a stream come after its headers.
    if (!this.#outlet.begun) this.#begin(streamHeaders(this.#exchange.result));
    return this.#outlet.write(text);
  }

  #begin(about: Record<string, string>): void {
    if (this.#outlet.begun) return;
    this.#outlet.begin(200, { 'content-type': contentTypes[this.#question.framing], ...about });
  }

  #keepAlive(): void {
    const waitedMs = performance.now() - this.#startedAtMs;
    if (
      this.#outlet.begun ? this.#outlet.silentMs < facadeLimits.silenceMsMax : waitedMs < facadeLimits.statusHeldMsMax
    )
      return;
    // Who is asked now may not be who answers.
    this.#begin({});
    // What the client doesn't read now is waited for with the next delta.
    void this.#outlet.write(this.#writer.keepAlive())?.catch(() => {});
  }
}
