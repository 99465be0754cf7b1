/**
 * The interface of an HTTP endpoint (`Endpoint`) of the façade: pure mappings. `server.ts` and `answer.ts` do the I/O for all of them.
 */
import type { CoppiceError, FieldIssue } from '@coppice/contracts';
import type { EndpointFormat } from './endpoint-formats.ts';
import type { Item, Kept } from './kept-items.ts';
import type { ModelRequest, TranslatedDelta } from '../../provider/port.ts';

/** How the events of a streamed answer are separated. */
export type Framing = 'server-sent-events' | 'json-array';

/** An event of a streamed answer. `name` is written if the framing has a place for it. */
export type Frame = { name: string | null; data: string };

/** Data of a request in addition to its body. */
export type RequestParts = {
  /** Path of the URL, without the query. */
  path: string;
  query: URLSearchParams;
  /** Headers that the vendor documents for clients to set; names in lower case; never one with a key. */
  headers: Readonly<Record<string, string>>;
  /** Size of the body. */
  bytes: number;
  /** Stored items that the body references. Only providers of other wire formats need them. */
  items?: readonly Item[];
};

/** A parsed request. */
export type Question = {
  /** The model as named by the client. */
  model: string;
  stream: boolean;
  framing: Framing;
  request: Omit<ModelRequest, 'model'>;
  /** Fields that no other wire format can express. If there are any, only a provider of this wire format can get the request. */
  untranslatable: readonly FieldIssue[];
  writer(about: AnswerAbout): AnswerWriter;
};

export type AnswerAbout = {
  /** Letters and digits, usable in an answer's id. */
  id: string;
  /** The model as named by the client; reported if the provider reports no name. */
  model: string;
  nowMs: number;
};

/** Writes one answer: deltas in, events of the wire format out. Does no I/O; its only state is the answer so far. */
export type AnswerWriter = {
  delta(delta: TranslatedDelta): Frame[];
  /** Returns the events that end a complete answer. */
  end(): Frame[];
  /** Returns the events that report an error in the middle of a stream, after which nothing follows. */
  fail(error: CoppiceError): Frame[];
  /** Returns encoded text without meaning, sent while the model is silent so that clients go on waiting. */
  keepAlive(): string;
  /** Returns the whole answer. Called after all deltas. */
  whole(): object;
  /** Returns the items that clients may reference by id from now on. Called after the whole answer. */
  kept?(): readonly Kept[];
  /** Returns the items to store from an event, or a whole answer, of a provider of the same wire format. Called before the client gets it. */
  keptPassed?(data: string, whole: boolean): readonly Kept[];
  /** Passes on an event of a provider of the same wire format; null if the client didn't request it. Without it, all events are passed on. */
  passOn?(frame: Frame): Frame | null;
  /** Returns the events missing at the end of those passed on. */
  passedOn?(): Frame[];
};

export type ErrorAnswer = { status: number; headers: Record<string, string>; body: object };

/** Keys of referenced items. `own`: of the gateway's own answers. `passed`: of a provider of the same wire format, which knows the items by itself. */
export type References = { own: readonly string[]; passed: readonly string[] };

export type Endpoint = {
  wire: EndpointFormat;
  /** Provider of model names without one, as the vendor's clients write them. */
  provider: string;
  /** The vendor's own request headers. */
  headers: readonly string[];
  /** @throws CoppiceError `invalid-request` with `details.issues`. */
  parse(body: unknown, parts: RequestParts): Question;
  /**
   * Defined if clients may reference items of earlier answers by id. `named` returns the keys that a body references; `put` replaces the references to the
   * gateway's own items by the items.
   */
  references?: { named(body: unknown): References; put(body: unknown, items: readonly Item[]): unknown };
  error(error: CoppiceError): ErrorAnswer;
};
