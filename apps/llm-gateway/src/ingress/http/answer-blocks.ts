import type { Signature } from '@coppice/contracts';
import { AnswerBounds } from '../../answer-bounds.ts';
import { madeCallId } from '../../collect.ts';
import type { FinishReason, UsageSoFar } from '../../provider/port.ts';
import type { TranslatedDelta } from './endpoint.ts';

/** A part of an answer. `pieces` are its text, or a call's arguments, as they arrived. */
export type AnswerBlock = {
  type: 'text' | 'thinking' | 'tool-call';
  /** Number of a thinking block or a call in the deltas; null for text. */
  number: number | null;
  pieces: string[];
  /** Id of a call; empty until it is known. */
  id: string;
  name: string;
  redacted: boolean;
  signature: Signature | undefined;
};

export const textOf = (block: AnswerBlock): string => block.pieces.join('');

/** The part of an answer received so far, in blocks ordered by their beginning. */
export class AnswerBlocks {
  readonly blocks: AnswerBlock[] = [];
  /** The blocks that are tool calls. */
  readonly calls: AnswerBlock[] = [];
  readonly usage: UsageSoFar = {};
  readonly #bounds = new AnswerBounds('the answer');
  readonly #seed: string;
  #finishReason: FinishReason | null = null;
  responseModel: string | null = null;

  /** `seed`: the ids of calls without one are derived from it. */
  constructor(seed: string) {
    this.#seed = seed;
  }

  /** Many servers report `stop` although the answer calls tools. */
  get finishReason(): FinishReason {
    const reason = this.#finishReason ?? 'other';
    return reason === 'stop' && this.calls.length > 0 ? 'tool-calls' : reason;
  }

  /** @throws CoppiceError `limit-exceeded`. */
  add(delta: TranslatedDelta): void {
    if (delta.type === 'response-start') this.responseModel = delta.responseModel ?? this.responseModel;
    else if (delta.type === 'usage') Object.assign(this.usage, delta.usage);
    else if (delta.type === 'response-end') this.#finish(delta.finishReason);
    else {
      if (delta.type === 'text-delta' && delta.text === '' && delta.signature === undefined) return;
      const block = this.#blockOf(delta);
      const text = delta.type === 'tool-call-delta' ? delta.arguments : delta.text;
      this.#bounds.take(text);
      if (text !== '') block.pieces.push(text);
      if (delta.signature !== undefined) block.signature = this.#signed(delta.signature);
      if (delta.type === 'thinking-delta' && delta.redacted === true) block.redacted = true;
      if (delta.type !== 'tool-call-delta') return;
      if (delta.id !== undefined && block.id === '')
        block.id = this.#unique(this.#bounds.checkedId(delta.id), delta.call);
      if (delta.name !== undefined) block.name = this.#bounds.checkedName(delta.name);
    }
  }

  #blockOf(delta: Extract<TranslatedDelta, { signature?: unknown }>): AnswerBlock {
    const last = this.blocks.at(-1);
    if (delta.type === 'text-delta') return last?.type === 'text' ? last : this.#open('text', null);
    if (delta.type === 'thinking-delta') {
      const same = last?.type === 'thinking' && last.number === delta.block;
      return same ? last : this.#open('thinking', delta.block);
    }
    const call = this.calls.find(({ number }) => number === delta.call);
    return call ?? this.#open('tool-call', delta.call);
  }

  #open(type: AnswerBlock['type'], number: number | null): AnswerBlock {
    if (type === 'tool-call') this.#bounds.openCall();
    else this.#bounds.openPart();
    const block: AnswerBlock = {
      type,
      number,
      pieces: [],
      id: '',
      name: '',
      redacted: false,
      signature: undefined,
    };
    this.blocks.push(block);
    if (type === 'tool-call') this.calls.push(block);
    return block;
  }

  #signed(signature: Signature): Signature {
    this.#bounds.take(signature.value);
    return signature;
  }

  #finish(reason: FinishReason): void {
    this.#finishReason = reason;
    for (const call of this.calls) {
      if (call.id === '') call.id = madeCallId(this.#seed, call.number ?? 0);
      // Clients parse the arguments as JSON.
      if (call.pieces.length === 0) call.pieces.push('{}');
    }
  }

  /** Replaces an empty or repeated id: a tool result refers to its call by id. */
  #unique(id: string, position: number): string {
    return id === '' || this.calls.some((call) => call.id === id) ? madeCallId(this.#seed, position) : id;
  }
}
