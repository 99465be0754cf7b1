/**
 * The parts of a wire format: pure mappings, on one page. `provider.ts` does the I/O for all wire formats.
 */
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { ModelDelta, ModelRequest, OriginalRequest, WireName } from '../provider/port.ts';
import type { StreamEvent } from './event-reader.ts';

/** A wire format. Only formats that an endpoint serves have `passOn`, and the compiler checks this by the name. */
export type Wire = ServedWire | (CommonWire & { name: Exclude<WireName, EndpointFormat> });

type CommonWire = {
  /** Form of a streamed answer: server-sent events, or one JSON value per line. */
  framing: 'server-sent-events' | 'json-lines';
  /** Returns the path relative to the base URL, with a query if the format needs one. */
  path(model: string, stream: boolean): string;
  /** Returns the headers of a request that are specific to the wire format. Never includes a key. */
  headers(original: OriginalRequest | null): Record<string, string>;
  keyHeaders(key: string): Record<string, string>;
  body(request: ModelRequest, stream: boolean): object;
  reader(about: { provider: string; secret: string | null }): AnswerReader;
  /** The path of the model list, and a function that returns the names in it; null if the body isn't a model list. */
  models: { path: string; names(body: unknown): string[] | null };
};

/** A wire format that a gateway endpoint serves, too. */
export type ServedWire = CommonWire & {
  name: EndpointFormat;
  /**
   * Returns the body for a request that came in this wire format, with another model, the gateway's output limit, if any, and the fields that make the server
   * report usage.
   */
  passOn(original: OriginalRequest, model: string, stream: boolean): object;
};

/**
 * Maps the events of one answer to deltas. The same events always give the same deltas. `response-end` is returned only at the end of the stream, since an
 * event that looks like the end may be followed by more.
 */
export type AnswerReader = {
  /** @throws CoppiceError if the event is an error of the provider, or isn't in the wire format. */
  event(event: StreamEvent): ModelDelta[];
  /** Maps the parsed body of an unstreamed answer. The body is undefined if it isn't JSON. @throws as `event`. */
  whole(body: unknown): ModelDelta[];
  /** Returns the deltas that are complete only at the end of the stream. These include `response-end`, unless the answer was cut. */
  end(): ModelDelta[];
  /** True once everything except perhaps the usage has arrived. If the connection breaks after that, at most the usage is lost. */
  readonly finished: boolean;
  /** True once the last event of the stream has arrived. Later events are ignored. */
  readonly ended: boolean;
};
