/**
 * What a format of asking models consists of: pure mappings, on one page. `provider.ts` does the I/O, the same for all.
 */
import type { ModelDelta, ModelRequest, OriginalRequest, WireName } from '../port.ts';
import type { StreamEvent } from './event-reader.ts';

export type Wire = {
  name: WireName;
  /** How a streamed answer is cut into events: server-sent events, or one JSON value a line. */
  framing: 'server-sent-events' | 'json-lines';
  /** Below the base URL, with a query where the wire has one. */
  path(model: string, stream: boolean): string;
  /** A request's headers beside those of HTTP itself; no key in them. */
  headers(original: OriginalRequest | null): Record<string, string>;
  keyHeaders(key: string): Record<string, string>;
  body(request: ModelRequest, stream: boolean): object;
  /** A request that came in in this very wire, for another model and perhaps with a maximum; what the gateway needs to be told is asked for too. */
  passOn(original: OriginalRequest, model: string, stream: boolean): object;
  reader(about: { provider: string; secret: string | null }): AnswerReader;
  /** Where models are listed, and their names in the list; null where the answer is no such list. */
  models: { path: string; names(body: unknown): string[] | null };
};

/**
 * Maps one answer's events to deltas. Pure: the same events give the same deltas. It ends only at the stream's end, since much may follow what looks like the
 * end.
 */
export type AnswerReader = {
  /** @throws CoppiceError where the event says that the provider failed, or isn't what was agreed on. */
  event(event: StreamEvent): ModelDelta[];
  /** An answer that came as a whole, parsed; undefined where it isn't JSON. @throws as `event`. */
  whole(body: unknown): ModelDelta[];
  /** What the stream's end completes; without `response-end` where the answer was cut. */
  end(): ModelDelta[];
  /** All that matters came, perhaps but the usage: a connection that breaks now takes nothing with it. */
  readonly finished: boolean;
  /** The stream's last word came: what may follow is not read. */
  readonly ended: boolean;
};
