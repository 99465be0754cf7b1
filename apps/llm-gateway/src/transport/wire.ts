/** The parts of a wire format, which are pure mappings. `provider.ts` does the I/O for all wire formats. */
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { ModelDelta, ModelRequest, OriginalRequest, WireName } from '../provider/port.ts';
import type { StreamEvent } from './event-reader.ts';

/** A wire format. Only formats that a gateway endpoint serves have `passOn`. The compiler checks this by the name. */
export type Wire = ServedWire | (CommonWire & { name: Exclude<WireName, EndpointFormat> });

type CommonWire = {
  /** Form of a streamed answer. `json-lines` has one JSON value per line. */
  framing: 'server-sent-events' | 'json-lines';
  /** Returns the path relative to the base URL, with a query if the format needs one. */
  path(model: string, stream: boolean): string;
  /** Returns the headers that are specific to the wire format. Never returns a key. */
  headers(original: OriginalRequest | null): Record<string, string>;
  keyHeaders(key: string): Record<string, string>;
  body(request: ModelRequest, stream: boolean): object;
  reader(about: { provider: string; secret: string | null }): AnswerReader;
  /** The path of the model list. `names` returns the names in the list, or null if the body isn't a model list. */
  models: { path: string; names(body: unknown): string[] | null };
};

/** A wire format that a gateway endpoint also serves. */
export type ServedWire = CommonWire & {
  name: EndpointFormat;
  /**
   * Returns the client's body with another model, for a request that came in this wire format. Adds the gateway's
   * output limit, if there is one, and the fields that make the server report usage.
   */
  passOn(original: OriginalRequest, model: string, stream: boolean): object;
};

/**
 * Maps the events of one answer to deltas. The same events always give the same deltas. Only `end` returns
 * `response-end`, since more events may follow one that looks like the end.
 */
export type AnswerReader = {
  /** @throws CoppiceError if the event is an error of the provider, or isn't in the wire format. */
  event(event: StreamEvent): ModelDelta[];
  /**
   * Maps the parsed body of an unstreamed answer. The body is undefined if it isn't JSON.
   * @throws as `event`.
   */
  whole(body: unknown): ModelDelta[];
  /**
   * Returns the deltas that are complete only at the end of the stream. `response-end` is one of them, unless the
   * answer was cut.
   */
  end(): ModelDelta[];
  /**
   * True once everything has arrived, except perhaps the usage. If the connection breaks after that, at most the usage
   * is lost.
   */
  readonly finished: boolean;
  /** True once the last event of the stream has arrived. The gateway ignores later events. */
  readonly ended: boolean;
};
