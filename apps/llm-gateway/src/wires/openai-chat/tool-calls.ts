import { AnswerBounds } from '../../answer-bounds.ts';
import type { ModelDelta } from '../../provider/port.ts';
import { ArgumentsText } from './arguments-text.ts';

/** A piece of a tool call as the server sent it. */
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
 * Assigns each piece to a tool call. The id decides. Without a known id, the index decides. Without an index, the piece
 * belongs to the latest call.
 *
 * Some servers deviate from the documented format. These deviations are handled:
 * - All parallel calls have index 0 and different ids. So a new id with a name begins a new call.
 * - Each piece of a call has a new id but no name. So the index decides.
 * - Each call is one whole piece with a name. It has no id, and no index or index 0. So a name after complete arguments
 *   begins a new call. Complete arguments without a new name don't end a call, since further pieces may follow.
 */
export class ToolCallMerger {
  readonly #calls: Call[] = [];
  readonly #bounds: AnswerBounds;

  constructor(provider: string) {
    this.#bounds = new AnswerBounds(`${provider}'s answer`);
  }

  /**
   * Converts a piece to a delta. Each call has its id and its name in one delta only.
   * @throws CoppiceError `limit-exceeded`.
   */
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

  /**
   * Returns a delta with an empty object for each tool call without arguments. Servers reject an empty text in later
   * requests.
   */
  finish(): ToolCallDelta[] {
    return this.#calls
      .filter((call) => call.arguments.isBlank)
      .map((call) => ({ type: 'tool-call-delta', call: call.position, arguments: '{}' }));
  }

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

  /** Returns the latest tool call with this index that has neither id nor name yet. */
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
