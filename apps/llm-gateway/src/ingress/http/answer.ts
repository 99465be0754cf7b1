/**
 * Sends one answer to a client. The answer of a provider of the client's wire format is passed on unchanged. Any other answer is translated.
 *
 * Invariants:
 * 1. An error before the stream's status is sent becomes an HTTP error. A later error is written as an event of the wire format, without the events that end a
 *    complete answer. The body then ends normally, as with the vendors, since clients would report a broken connection instead of the error. If the wire format
 *    has no error event, or the framing is a JSON array, which has no place for an error, the connection is closed in the middle of the body.
 * 2. The provider's stream is not read further while the client must still read buffered output.
 */
import type { CoppiceError } from '@coppice/contracts';
import type { Exchange } from '../../routing/exchange.ts';
import type { ModelDelta, ModelDeltas } from '../../provider/port.ts';
import { streamHeaders, wholeAnswerHeaders } from './answer-headers.ts';
import type { CallResult } from './answer-headers.ts';
import type { AnswerWriter, Question } from './endpoint.ts';
import { FrameEncoder, contentTypes } from './framing.ts';
import type { Kept } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import type { Outlet } from './response-stream.ts';

/**
 * `keep` stores items that clients may reference by id from now on. If `keepsPassed`, it also stores the items of a provider of the client's wire format, since
 * a provider of another wire format may get the client's next request.
 */
type Sending = {
  question: Question;
  writer: AnswerWriter;
  outlet: Outlet;
  keep: (kept: readonly Kept[]) => Promise<void>;
  keepsPassed: boolean;
  exchange: Pick<Exchange, 'deltas'> & { result: CallResult };
};

export class AnswerSender {
  readonly #with: Sending;
  readonly #encoder: FrameEncoder;
  readonly #startedAtMs = performance.now();
  /** Items from events that haven't been sent yet. */
  readonly #unkept: Kept[] = [];
  /** True if the provider that answers has the client's wire format. */
  #passing = false;

  constructor(sending: Sending) {
    this.#with = sending;
    this.#encoder = new FrameEncoder(sending.question.framing);
  }

  /** @throws CoppiceError from the exchange's deltas. If the stream has begun, the caller must then call `endEarly`. */
  async send(): Promise<void> {
    const { deltas, result } = this.#with.exchange;
    if (!this.#with.question.stream) return this.#sendWhole(deltas, result);
    const timer = setInterval(() => this.#keepAlive(), facadeLimits.silenceMsMax);
    try {
      for await (const together of deltas) {
        const text = together.map((delta) => this.#encode(delta)).join('');
        if (this.#unkept.length > 0) await this.#with.keep(this.#unkept.splice(0));
        const full = this.#write(text);
        if (full !== null) await full;
      }
    } finally {
      clearInterval(timer);
    }
    this.#begin(streamHeaders(result));
    const last = this.#passing ? (this.#with.writer.passedOn?.() ?? []) : this.#with.writer.end();
    if (!this.#passing) await this.#with.keep(this.#with.writer.kept?.() ?? []);
    this.#with.outlet.end(`${this.#encoder.encode(last)}${this.#encoder.close()}`);
  }

  /** Reports an error in the middle of a stream. */
  endEarly(error: CoppiceError): Promise<void> {
    const text = this.#encoder.encode(this.#with.writer.fail(error));
    const isSent = text !== '' && this.#with.question.framing !== 'json-array';
    return isSent ? this.#with.outlet.endEarly(text) : this.#with.outlet.breakOff(text);
  }

  async #sendWhole(deltas: ModelDeltas, result: CallResult): Promise<void> {
    let passed: string | null = null;
    for await (const together of deltas) {
      for (const delta of together) {
        if (delta.type !== 'raw') {
          if (passed === null) this.#with.writer.delta(delta);
        } else if (delta.whole) passed = delta.data;
      }
    }
    const body = passed ?? JSON.stringify(this.#with.writer.whole());
    const kept = passed === null ? this.#with.writer.kept?.() : this.#keptOf(passed, true);
    if (kept !== undefined && kept.length > 0) await this.#with.keep(kept);
    const headers = wholeAnswerHeaders(result);
    headers['content-type'] = 'application/json; charset=utf-8';
    await this.#with.outlet.canBeWritten();
    this.#with.outlet.whole(200, headers, body);
  }

  /** Encodes a delta for the client. Returns an empty text for deltas that aren't sent. */
  #encode(delta: ModelDelta): string {
    if (delta.type !== 'raw') return this.#passing ? '' : this.#encoder.encode(this.#with.writer.delta(delta));
    // If the client requested a stream and the provider's answer is unstreamed, the translated deltas are sent instead.
    if (delta.whole) return '';
    this.#passing = true;
    this.#unkept.push(...this.#keptOf(delta.data, false));
    const received = { name: delta.name, data: delta.data };
    const frame = this.#with.writer.passOn === undefined ? received : this.#with.writer.passOn(received);
    return frame === null ? '' : this.#encoder.encode([frame]);
  }

  #keptOf(data: string, whole: boolean): readonly Kept[] {
    return this.#with.keepsPassed ? (this.#with.writer.keptPassed?.(data, whole) ?? []) : [];
  }

  #write(text: string): Promise<void> | null {
    if (text === '') return null;
    // Builds the headers for the first write only.
    if (!this.#with.outlet.begun) this.#begin(streamHeaders(this.#with.exchange.result));
    return this.#with.outlet.write(text);
  }

  #begin(about: Record<string, string>): void {
    if (this.#with.outlet.begun) return;
    this.#with.outlet.begin(200, { 'content-type': contentTypes[this.#with.question.framing], ...about });
  }

  #keepAlive(): void {
    const waitedMs = performance.now() - this.#startedAtMs;
    if (
      this.#with.outlet.begun
        ? this.#with.outlet.silentMs < facadeLimits.silenceMsMax
        : waitedMs < facadeLimits.statusHeldMsMax
    )
      return;
    // Sent without a model header, since another candidate may still answer the call.
    this.#begin({});
    // Not awaited: the write of the next delta waits for a slow client. Errors are ignored, since that write reports them.
    void this.#with.outlet.write(this.#with.writer.keepAlive())?.catch(() => {});
  }
}
