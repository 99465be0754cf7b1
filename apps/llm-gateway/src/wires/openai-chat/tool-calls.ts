import { AnswerBounds } from '../../answer-bounds.ts';
import type { ModelDelta } from '../../provider/port.ts';
import { ArgumentsText } from './arguments-text.ts';

/** A piece of a tool call as received. It is assigned to its call by id, else by index, else by order alone. */
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
 * Assigns each piece to a call: the call with its id, else the call with its index, else the latest call.
 *
 * Deviations of servers from the documented format, and how they are handled:
 * - All parallel calls have index 0 and different ids: a new id with a name starts a new call.
 * - Each piece of one call has a new id, without a name: the index decides.
 * - Whole calls, each with a name, without ids or indices, or all with index 0: a name after a complete call starts a new call.
 * Arguments that are valid JSON never end a call; only the end of the answer does.
 */
export class ToolCallMerger {
  readonly #calls: Call[] = [];
  readonly #bounds: AnswerBounds;

  constructor(provider: string) {
    this.#bounds = new AnswerBounds(`${provider}'s answer`);
  }

  /** Converts a piece to a delta. An id and a name are sent once per call. @throws CoppiceError `limit-exceeded`. */
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

  /** Gives calls without arguments an empty object, which their model meant. Other servers reject an empty text in a request. */
  finish(): ToolCallDelta[] {
    return this.#calls
      .filter((call) => call.arguments.isBlank)
      .map((call) => ({ type: 'tool-call-delta', call: call.position, arguments: '{}' }));
  }

  /** Reports whether the arguments of all calls are complete. */
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

  /** A call of that index that has no id and no name yet. */
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
