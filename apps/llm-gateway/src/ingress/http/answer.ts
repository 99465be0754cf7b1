/**
 * Sends one answer to a client. If the provider has the client's wire format, passes the answer on unchanged. Otherwise
 * translates it.
 *
 * Invariants:
 * 1. An error before the HTTP status is sent becomes an HTTP error. A later error becomes an error event of the wire
 *    format, which replaces the events that end a complete answer. The connection isn't broken off, since clients would
 *    then report the broken connection and not the error. If the framing can't express the error, the connection is
 *    closed in the middle of the body.
 * 2. While buffered output waits for a slow client, the provider's stream isn't read.
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
 * If `keepsPassed` is true, items that are passed on unchanged are also stored with `keep`, since a provider of another
 * wire format may get the client's next request.
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
  /** Items to store before the next write. */
  readonly #unkept: Kept[] = [];
  /** True if the provider that answers has the client's wire format. */
  #passing = false;

  constructor(sending: Sending) {
    this.#with = sending;
    this.#encoder = new FrameEncoder(sending.question.framing);
  }

  /**
   * @throws CoppiceError from the exchange's deltas. If the status was already sent, the caller must then call
   * `endEarly`.
   */
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

  /** Returns an empty text if the client doesn't get the delta. */
  #encode(delta: ModelDelta): string {
    if (delta.type !== 'raw') return this.#passing ? '' : this.#encoder.encode(this.#with.writer.delta(delta));
    // If the client requested a stream and the provider sent an unstreamed answer, the client gets the translated
    // deltas.
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
    // The headers don't name the model, since another candidate may still answer the call.
    this.#begin({});
    // Isn't awaited, since the write of the next delta waits for a slow client. Its errors may be ignored, since that
    // write reports them, too.
    void this.#with.outlet.write(this.#with.writer.keepAlive())?.catch(() => {});
  }
}
