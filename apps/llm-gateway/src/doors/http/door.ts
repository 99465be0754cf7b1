/**
 * What a door of the HTTP façade consists of: pure mappings, on one page. `server.ts` and `answer.ts` do the I/O, the same for all.
 */
import type { CoppiceError, FieldIssue } from '@coppice/contracts';
import type { Item, Kept } from './kept-items.ts';
import type { ModelDelta, ModelRequest, WireName } from '../../provider/port.ts';

/** How a streamed answer is cut into events. */
export type Framing = 'server-sent-events' | 'json-lines' | 'json-array';

/** An event of a streamed answer. `name` is told where the framing has a place for it. */
export type Frame = { name: string | null; data: string };

/** What a request is about beside its body. */
export type Asked = {
  /** Below the host, without the query. */
  path: string;
  query: URLSearchParams;
  /** Those that the wire's vendor documents for clients to set; lower case, never one with a key. */
  headers: Readonly<Record<string, string>>;
  /** Of the body. */
  bytes: number;
  /** That the body names, and that only providers of other wires need to be told. */
  items?: readonly Item[];
};

/** A request as a door read it. */
export type Question = {
  /** As the client names it. */
  model: string;
  stream: boolean;
  framing: Framing;
  request: Omit<ModelRequest, 'model'>;
  /** What no other wire has words for: only a provider of this wire can be asked then. */
  untranslatable: readonly FieldIssue[];
  writer(about: AnswerAbout): AnswerWriter;
};

export type AnswerAbout = {
  /** Fit for an answer's id: letters and digits. */
  id: string;
  /** As the client named it; said where the provider tells no name of its own. */
  model: string;
  nowMs: number;
};

export type TranslatedDelta = Exclude<ModelDelta, { type: 'raw' }>;

/** Writes one answer: deltas in, the wire's own events out. Pure, but for what it remembers of the answer. */
export type AnswerWriter = {
  delta(delta: TranslatedDelta): Frame[];
  /** What a complete answer ends with. */
  end(): Frame[];
  /** What tells, in the middle of a stream, that no more will come, and why. */
  fail(error: CoppiceError): Frame[];
  /** What clients are sent while the model is silent, so that they go on waiting: encoded, and without a meaning. */
  keepAlive(): string;
  /** The whole answer, once all deltas were told. */
  whole(): object;
  /** What clients may name by its id from now on, once all of the answer was told. */
  kept?(): readonly Kept[];
  /** What is to be kept of what a provider of the same wire tells, an event or the whole answer, before its client is told that. */
  keptPassed?(data: string, whole: boolean): readonly Kept[];
  /** An event of a provider of the same wire; null where the client didn't ask for it. */
  passOn(frame: Frame): Frame | null;
  /** What is missing at the end of events that were passed on. */
  passedOn(): Frame[];
};

export type ErrorAnswer = { status: number; headers: Record<string, string>; body: object };

/** `passed`: what a provider of the same wire told, and knows by itself. */
export type References = { own: readonly string[]; passed: readonly string[] };

export type Door = {
  wire: WireName;
  /** The provider that a model's bare name belongs to, as clients of the vendor name it. */
  provider: string;
  /** Headers of a request that are the vendor's own. */
  headers: readonly string[];
  /** @throws CoppiceError `invalid-request` with `details.issues`. */
  parse(body: unknown, asked: Asked): Question;
  /** Where clients may name what was answered by its id: the keys of what a body names, and the body with those items of the gateway's own in their place. */
  references?: { named(body: unknown): References; put(body: unknown, items: readonly Item[]): unknown };
  error(error: CoppiceError): ErrorAnswer;
};
