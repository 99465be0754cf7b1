import { createHash } from 'node:crypto';
import type { Signature } from '@coppice/contracts';
import { AnswerBounds } from './answer-bounds.ts';
import type { FinishReason, OutputDelta, TranslatedDelta, UsageSoFar } from './provider/port.ts';

/** A part of an answer. `pieces` contains its text or a call's arguments, split as they arrived. */
export type AnswerBlock = {
  type: 'text' | 'thinking' | 'tool-call';
  /** Number of this thinking block or tool call in the deltas; null for text. */
  number: number | null;
  pieces: string[];
  /** Empty until it is known. */
  id: string;
  name: string;
  redacted: boolean;
  signature: Signature | undefined;
};

export const textOf = (block: AnswerBlock): string => block.pieces.join('');

export type AnswerBlocksSettings = {
  /** A tool call without an id gets one that is derived from this text. */
  seed: string;
  /** The answer's name in errors, such as `acme's answer`. */
  name?: string;
  textBytesMax?: number;
  /**
   * Arguments of a tool call that the provider sent without arguments. Default: `{}`, since clients parse arguments as
   * JSON.
   */
  argumentsDefault?: string;
};

/**
 * The received part of an answer, as blocks in the order in which they began. No other class assembles an answer from
 * its deltas.
 */
export class AnswerBlocks {
  readonly blocks: AnswerBlock[] = [];
  readonly calls: AnswerBlock[] = [];
  readonly usage: UsageSoFar = {};
  responseModel: string | null = null;
  responseId: string | null = null;
  providerFinishReason: string | null = null;
  readonly #settings: AnswerBlocksSettings;
  readonly #bounds: AnswerBounds;
  #finishReason: FinishReason | null = null;

  constructor(settings: AnswerBlocksSettings) {
    this.#settings = settings;
    this.#bounds = new AnswerBounds(settings.name ?? 'the answer', settings.textBytesMax);
  }

  get bytes(): number {
    return this.#bounds.bytes;
  }

  /** True after `response-end`. */
  get isComplete(): boolean {
    return this.#finishReason !== null;
  }

  /**
   * The finish reason. If the answer calls tools, `tool-calls` replaces `stop`, since many servers send `stop` for such
   * answers.
   */
  get finishReason(): FinishReason {
    const reason = this.#finishReason ?? 'other';
    return reason === 'stop' && this.calls.length > 0 ? 'tool-calls' : reason;
  }

  /** @throws CoppiceError `limit-exceeded`. */
  add(delta: TranslatedDelta): void {
    if (delta.type === 'response-start') {
      this.responseModel = delta.responseModel ?? this.responseModel;
      this.responseId = delta.responseId ?? this.responseId;
    } else if (delta.type === 'usage') Object.assign(this.usage, delta.usage);
    else if (delta.type === 'response-end') {
      this.providerFinishReason = delta.providerFinishReason ?? null;
      this.#finish(delta.finishReason);
    } else this.#addOutput(delta);
  }

  #addOutput(delta: OutputDelta): void {
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

  #blockOf(delta: OutputDelta): AnswerBlock {
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
    const { seed, argumentsDefault = '{}' } = this.#settings;
    for (const call of this.calls) {
      if (call.id === '') call.id = madeCallId(seed, call.number ?? 0);
      if (call.pieces.length === 0 && argumentsDefault !== '') call.pieces.push(argumentsDefault);
    }
  }

  /** Replaces an empty or repeated id. Ids must be unique, since a tool result names its call by id. */
  #unique(id: string, position: number): string {
    const isFree = id !== '' && !this.calls.some((call) => call.id === id);
    return isFree ? id : madeCallId(this.#settings.seed, position);
  }
}

/**
 * Returns nine letters and digits, which depend only on the arguments. Mistral accepts no other ids, and may be the
 * conversation's next provider.
 */
function madeCallId(seed: string, position: number): string {
  const hash = createHash('sha256').update(`${seed}\n${position}`).digest('hex');
  return BigInt(`0x${hash}`).toString(36).slice(-9);
}
