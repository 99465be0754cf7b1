/**
 * The parts of a wire format: pure mappings, on one page. `provider.ts` does the I/O, the same for all.
 */
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { ModelDelta, ModelRequest, OriginalRequest, WireName } from '../provider/port.ts';
import type { StreamEvent } from './event-reader.ts';

/** Only a format that an endpoint serves passes on requests, and the compiler knows which ones those are. */
export type Wire = ServedWire | (CommonWire & { name: Exclude<WireName, EndpointFormat> });

type CommonWire = {
  /** How a streamed answer is split into events: server-sent events, or one JSON value per line. */
  framing: 'server-sent-events' | 'json-lines';
  /** Relative to the base URL, with a query if the format needs one. */
  path(model: string, stream: boolean): string;
  /** The headers of a request besides HTTP's own; never a key. */
  headers(original: OriginalRequest | null): Record<string, string>;
  keyHeaders(key: string): Record<string, string>;
  body(request: ModelRequest, stream: boolean): object;
  reader(about: { provider: string; secret: string | null }): AnswerReader;
  /** The path of the model list, and the names in it; null if the answer is no such list. */
  models: { path: string; names(body: unknown): string[] | null };
};

/** A wire format that an endpoint serves, too. */
export type ServedWire = CommonWire & {
  name: EndpointFormat;
  /** The body for a request that came in this wire format: another model, perhaps an output limit, and the fields that make the server report usage. */
  passOn(original: OriginalRequest, model: string, stream: boolean): object;
};

/**
 * Maps one answer's events to deltas. Pure: the same events give the same deltas. `response-end` comes only at the end of the stream, since more may follow what
 * looks like the end.
 */
export type AnswerReader = {
  /** @throws CoppiceError if the event is an error of the provider, or not in the wire format. */
  event(event: StreamEvent): ModelDelta[];
  /** Maps an unstreamed answer, parsed; undefined if it isn't JSON. @throws as `event`. */
  whole(body: unknown): ModelDelta[];
  /** The deltas that the end of the stream completes. No `response-end` if the answer was cut. */
  end(): ModelDelta[];
  /** True after everything but possibly the usage arrived: a broken connection loses nothing from here on. */
  readonly finished: boolean;
  /** True after the last event of the stream arrived: later events are ignored. */
  readonly ended: boolean;
};
