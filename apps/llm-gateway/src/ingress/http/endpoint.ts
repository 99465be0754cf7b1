/**
 * Types of the façade's HTTP endpoints. An `Endpoint` is a pure mapping. `server.ts`, `facade.ts` and `answer.ts` do
 * the I/O.
 */
import type { CoppiceError, FieldIssue } from '@coppice/contracts';
import type { EndpointFormat } from './endpoint-formats.ts';
import type { Item, Kept } from './kept-items.ts';
import type { ModelRequest, TranslatedDelta } from '../../provider/port.ts';

export type Framing = 'server-sent-events' | 'json-array';

/** An event of a streamed answer. Only server-sent events contain the `name`. */
export type Frame = { name: string | null; data: string };

export type RequestParts = {
  path: string;
  query: URLSearchParams;
  /** The request headers that `Endpoint.headers` lists, by lower-case name. A header with a key is never among them. */
  headers: Readonly<Record<string, string>>;
  /** Size of the body. */
  bytes: number;
  /** Stored items that the body references. They are needed only to translate the request to another wire format. */
  items?: readonly Item[];
};

export type Question = {
  /** Model name that the client used. */
  model: string;
  stream: boolean;
  framing: Framing;
  request: Omit<ModelRequest, 'model'>;
  /**
   * Fields that no other wire format can express. With such a field, only a provider of this wire format may get the
   * request.
   */
  untranslatable: readonly FieldIssue[];
  writer(about: AnswerAbout): AnswerWriter;
};

export type AnswerAbout = {
  /** Letters and digits for use in the answer's id. */
  id: string;
  /** Model name that the client used. The answer contains it if the provider reports no model. */
  model: string;
  nowMs: number;
};

/** Converts the deltas of one answer to events of the wire format. Does no I/O. */
export type AnswerWriter = {
  delta(delta: TranslatedDelta): Frame[];
  /** Returns the events that end a complete answer. */
  end(): Frame[];
  /** Returns the events that report an error in the middle of a stream. They are the last events of the stream. */
  fail(error: CoppiceError): Frame[];
  /** Returns encoded text that clients ignore. Sending it while the model is silent prevents timeouts of clients. */
  keepAlive(): string;
  /** Returns the body of an unstreamed answer. Called after all deltas. */
  whole(): object;
  /** Returns the items that clients may later reference by id. Called after all deltas. */
  kept?(): readonly Kept[];
  /**
   * Reads `data` from a provider of the same wire format. Returns the items to store before `data` is sent to the
   * client. If `whole` is true, `data` is an unstreamed answer, otherwise an event.
   */
  keptPassed?(data: string, whole: boolean): readonly Kept[];
  /**
   * Converts an event from a provider of the same wire format. Returns null if the client didn't request the event.
   * Without this function, all events are passed on unchanged.
   */
  passOn?(frame: Frame): Frame | null;
  /**
   * Returns events to send after those of a provider of the same wire format, if the client needs events that this
   * provider didn't send.
   */
  passedOn?(): Frame[];
};

export type ErrorAnswer = { status: number; headers: Record<string, string>; body: object };

/**
 * Keys of referenced items. `own` are items of answers that the gateway wrote. `passed` are items of a provider of the
 * same wire format, which this provider can look up itself.
 */
export type References = { own: readonly string[]; passed: readonly string[] };

export type Endpoint = {
  wire: EndpointFormat;
  /** Provider of the models that a client names without a provider. */
  provider: string;
  /** Names of the request headers that may be sent to the provider. */
  headers: readonly string[];
  /** @throws CoppiceError `invalid-request` with `details.issues`. */
  parse(body: unknown, parts: RequestParts): Question;
  /**
   * Defined if clients may reference items of earlier answers by id. `named` returns the keys of the items that a body
   * references. `put` replaces each reference to an item of the gateway's answers by the item itself.
   */
  references?: { named(body: unknown): References; put(body: unknown, items: readonly Item[]): unknown };
  error(error: CoppiceError): ErrorAnswer;
};
