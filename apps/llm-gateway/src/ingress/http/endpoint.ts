/**
 * The interface of an HTTP endpoint of the façade (`Endpoint`). Endpoints are pure mappings. `server.ts`, `facade.ts` and `answer.ts` do the I/O for all
 * endpoints.
 */
import type { CoppiceError, FieldIssue } from '@coppice/contracts';
import type { EndpointFormat } from './endpoint-formats.ts';
import type { Item, Kept } from './kept-items.ts';
import type { ModelRequest, TranslatedDelta } from '../../provider/port.ts';

/** Form in which the events of a streamed answer are sent. */
export type Framing = 'server-sent-events' | 'json-array';

/** An event of a streamed answer. `name` is sent only if the framing has a place for it. */
export type Frame = { name: string | null; data: string };

/** Data of a request in addition to its body. */
export type RequestParts = {
  /** Path of the URL, without the query. */
  path: string;
  query: URLSearchParams;
  /** Request headers that the vendor documents for clients, with names in lower case. Never includes a header with a key. */
  headers: Readonly<Record<string, string>>;
  /** Size of the body in bytes. */
  bytes: number;
  /** Stored items that the body references. Only providers of other wire formats need these. */
  items?: readonly Item[];
};

/** A parsed request. */
export type Question = {
  /** Model name that the client used. */
  model: string;
  stream: boolean;
  framing: Framing;
  request: Omit<ModelRequest, 'model'>;
  /** Fields that no other wire format can express. If there are any, only a provider of this wire format may get the request. */
  untranslatable: readonly FieldIssue[];
  writer(about: AnswerAbout): AnswerWriter;
};

export type AnswerAbout = {
  /** Letters and digits that can be used in an answer's id. */
  id: string;
  /** Model name that the client used. It is reported to the client if the provider reports none. */
  model: string;
  nowMs: number;
};

/** Converts the deltas of one answer to events of the wire format. Does no I/O. Its only state is the answer so far. */
export type AnswerWriter = {
  delta(delta: TranslatedDelta): Frame[];
  /** Returns the events that end a complete answer. */
  end(): Frame[];
  /** Returns the events that report an error in the middle of a stream. Nothing may be sent after them. */
  fail(error: CoppiceError): Frame[];
  /** Returns encoded text that clients ignore. It is sent while the model sends nothing, so that clients continue to wait. */
  keepAlive(): string;
  /** Returns the body of an unstreamed answer. Called after all deltas. */
  whole(): object;
  /** Returns the items that clients may reference by id from now on. Called after all deltas. */
  kept?(): readonly Kept[];
  /**
   * Returns the items to store from an event, or from an unstreamed answer, of a provider of the same wire format. Called before `data` is sent to the client.
   */
  keptPassed?(data: string, whole: boolean): readonly Kept[];
  /**
   * Returns an event of a provider of the same wire format as it is sent to the client; null if the client didn't request it. Without this function all events
   * are passed on.
   */
  passOn?(frame: Frame): Frame | null;
  /** Returns events that the client needs at the end and that the provider didn't send. */
  passedOn?(): Frame[];
};

export type ErrorAnswer = { status: number; headers: Record<string, string>; body: object };

/**
 * Keys of referenced items. `own`: items of answers that the gateway wrote. `passed`: items of a provider of the same wire format, which that provider can look
 * up itself.
 */
export type References = { own: readonly string[]; passed: readonly string[] };

export type Endpoint = {
  wire: EndpointFormat;
  /** Provider for model names without a provider, as the vendor's clients write them. */
  provider: string;
  /** Request headers of the vendor that are passed on. */
  headers: readonly string[];
  /** @throws CoppiceError `invalid-request` with `details.issues`. */
  parse(body: unknown, parts: RequestParts): Question;
  /**
   * Defined if clients may reference items of earlier answers by id. `named` returns the keys of the items that a body references. `put` replaces references to
   * items of the gateway's answers by these items.
   */
  references?: { named(body: unknown): References; put(body: unknown, items: readonly Item[]): unknown };
  error(error: CoppiceError): ErrorAnswer;
};
