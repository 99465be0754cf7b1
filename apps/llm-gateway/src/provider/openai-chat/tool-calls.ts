import { AnswerBounds } from '../../answer-bounds.ts';
import type { ModelDelta } from '../port.ts';
import { ArgumentsText } from './arguments-text.ts';

/** A piece of a tool call as it comes: what belongs together is told by its id, or else its index, or else nothing at all. */
export type ToolCallPiece = { id: string | null; index: number | null; name: string | null; arguments: string };

type Call = {
  position: number;
  id: string | null;
  index: number | null;
  name: string | null;
  readonly arguments: ArgumentsText;
};
type ToolCallDelta = Extract<ModelDelta, { type: 'tool-call-delta' }>;

/**
 * Which call a piece belongs to: the one of its id, else the one of its index, else the latest.
 *
 * What servers do beside the documented form, and what is made of it:
 * - all parallel calls have the index 0, and ids of their own: the id counts, where a name comes with it;
 * - an id is made anew for each piece of one call, without a name: then the index counts;
 * - whole calls, each with a name, with neither ids nor indices, or all with index 0: a name after a call that is whole begins another.
 * That a call's arguments happen to be JSON never ends it: only the answer's end does.
 */
export class ToolCallMerger {
  readonly #calls: Call[] = [];
  readonly #bounds: AnswerBounds;

  constructor(provider: string) {
    this.#bounds = new AnswerBounds(`${provider}'s answer`);
  }

  /** The piece as the port has it; an id and a name are told once. @throws CoppiceError `limit-exceeded`. */
  add(piece: ToolCallPiece): ToolCallDelta {
    const call = this.#find(piece) ?? this.#open(piece);
    const delta: ToolCallDelta = { type: 'tool-call-delta', call: call.position, arguments: piece.arguments };
    if (call.id === null && piece.id !== null) delta.id = call.id = this.#bounds.checkedId(piece.id);
    if (call.name === null && piece.name !== null) delta.name = call.name = this.#bounds.checkedName(piece.name);
    call.index ??= piece.index;
    this.#bounds.take(piece.arguments);
    call.arguments.add(piece.arguments);
    return delta;
  }

  /** Calls without arguments get an empty object, which is what their model meant; other servers refuse an empty text in a request. */
  finish(): ToolCallDelta[] {
    return this.#calls
      .filter((call) => call.arguments.isBlank)
      .map((call) => ({ type: 'tool-call-delta', call: call.position, arguments: '{}' }));
  }

  /** Whether nothing of them can be missing. */
  areWhole(): boolean {
    return this.#calls.every((call) => call.arguments.areWhole);
  }

  #find({ id, index, name, arguments: text }: ToolCallPiece): Call | null {
    if (id !== null) {
      const known = this.#calls.findLast((call) => call.id === id);
      if (known !== undefined) return known;
      if (name !== null) return this.#unnamedAt(index);
    }
    const candidate =
      index === null ? this.#calls.at(-1) : this.#calls.findLast((call) => call.index === index || call.index === null);
    if (candidate === undefined) return null;
    const beginsAnother =
      id === null &&
      name !== null &&
      candidate.name !== null &&
      (candidate.arguments.areWhole ? text.trimStart().startsWith('{') : index === null && candidate.name !== name);
    return beginsAnother ? null : candidate;
  }

  /** A call of that index whose id and name are still to come. */
  #unnamedAt(index: number | null): Call | null {
    if (index === null) return null;
    return this.#calls.findLast((call) => call.index === index && call.id === null && call.name === null) ?? null;
  }

  #open({ index }: ToolCallPiece): Call {
    this.#bounds.openCall();
    const call: Call = { position: this.#calls.length, id: null, index, name: null, arguments: new ArgumentsText() };
    this.#calls.push(call);
    return call;
  }
}
