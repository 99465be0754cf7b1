import type { CoppiceError } from '@coppice/contracts';
import { argumentsObject } from '../../acceptable-history.ts';
import type { FinishReason, TranslatedDelta, UsageSoFar } from '../../../provider/port.ts';
import { AnswerBlocks, textOf } from '../../../answer-blocks.ts';
import type { AnswerBlock } from '../../../answer-blocks.ts';
import { BlockSequence } from '../../../ingress/http/block-sequence.ts';
import type { BlockStep } from '../../../ingress/http/block-sequence.ts';
import type { AnswerAbout, AnswerWriter, Frame } from '../../../ingress/http/endpoint.ts';
import { pack } from '../../../ingress/http/foreign-signature.ts';
import { messagesError } from './write-error.ts';

const stopReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  refusal: 'refusal',
  other: 'end_turn',
};

/** Writes an answer as a stream of blocks, or as one object. */
export class MessagesAnswerWriter implements AnswerWriter {
  readonly #about: AnswerAbout;
  readonly #answer: AnswerBlocks;
  readonly #sequence: BlockSequence;
  #begun = false;
  /** Number of written blocks. A tool call with a signature counts as two blocks. */
  #blocks = 0;

  constructor(about: AnswerAbout) {
    this.#about = about;
    this.#answer = new AnswerBlocks({ seed: about.id });
    this.#sequence = new BlockSequence(this.#answer);
  }

  delta(delta: TranslatedDelta): Frame[] {
    this.#answer.add(delta);
    return delta.type.endsWith('-delta') ? this.#framesOf(this.#sequence.next()) : [];
  }

  end(): Frame[] {
    const { finishReason, usage } = this.#answer;
    const ending = { stop_reason: stopReasons[finishReason], stop_sequence: null };
    return [
      ...this.#framesOf(this.#sequence.end()),
      ...this.#start(),
      event('message_delta', { delta: ending, usage: usageOf(usage) }),
      event('message_stop', {}),
    ];
  }

  fail(error: CoppiceError): Frame[] {
    return [{ name: 'error', data: JSON.stringify(messagesError(error).body) }];
  }

  keepAlive(): string {
    return 'event: ping\ndata: {"type": "ping"}\n\n';
  }

  whole(): object {
    const { blocks, finishReason, usage } = this.#answer;
    const content = blocks.flatMap((block) => [...carrierOf(block), wholeBlock(block)]);
    return { ...this.#message(usage), content, stop_reason: stopReasons[finishReason] };
  }

  #message(usage: UsageSoFar): object {
    const { id, model } = this.#about;
    return {
      id: `msg_${id}`,
      type: 'message',
      role: 'assistant',
      model: this.#answer.responseModel ?? model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usageOf(usage),
    };
  }

  #start(): Frame[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [event('message_start', { message: this.#message(this.#answer.usage) })];
  }

  #framesOf(steps: readonly BlockStep[]): Frame[] {
    if (steps.length === 0) return [];
    return [...this.#start(), ...steps.flatMap((step) => this.#step(step))];
  }

  #step(step: BlockStep): Frame[] {
    const { block } = step;
    if (step.type === 'open') {
      const carriers = carrierOf(block).flatMap((carrier) => this.#wholeBlock(carrier));
      return [...carriers, event('content_block_start', { index: this.#blocks, content_block: emptyBlock(block) })];
    }
    if (step.type === 'piece') return block.redacted ? [] : [this.#delta(pieceOf(block, step.text))];
    const signed = block.type === 'thinking' && !block.redacted;
    const frames = [
      ...(signed ? [this.#delta({ type: 'signature_delta', signature: signatureOf(block) })] : []),
      event('content_block_stop', { index: this.#blocks }),
    ];
    this.#blocks++;
    return frames;
  }

  #wholeBlock(block: object): Frame[] {
    const index = this.#blocks++;
    return [event('content_block_start', { index, content_block: block }), event('content_block_stop', { index })];
  }

  #delta(delta: object): Frame {
    return event('content_block_delta', { index: this.#blocks, delta });
  }
}

const event = (type: string, fields: object): Frame => ({ name: type, data: JSON.stringify({ type, ...fields }) });

/**
 * Returns the block that carries a tool call's signature, since calls have no field for it. The block precedes the
 * call.
 */
function carrierOf({ type, id, signature }: AnswerBlock): object[] {
  if (type !== 'tool-call' || signature === undefined) return [];
  return [{ type: 'redacted_thinking', data: pack({ signature, callId: id }) }];
}

const signatureOf = ({ signature }: AnswerBlock): string =>
  signature?.wire === 'anthropic' ? signature.value : pack({ signature });

function emptyBlock(block: AnswerBlock): object {
  if (block.type === 'text') return { type: 'text', text: '' };
  if (block.type === 'tool-call') return { type: 'tool_use', id: block.id, name: block.name, input: {} };
  if (block.redacted) return { type: 'redacted_thinking', data: signatureOf(block) };
  return { type: 'thinking', thinking: '', signature: '' };
}

function pieceOf({ type }: AnswerBlock, text: string): object {
  if (type === 'text') return { type: 'text_delta', text };
  if (type === 'thinking') return { type: 'thinking_delta', thinking: text };
  return { type: 'input_json_delta', partial_json: text };
}

function wholeBlock(block: AnswerBlock): object {
  const empty = emptyBlock(block);
  if (block.type === 'text') return { ...empty, text: textOf(block) };
  if (block.type === 'tool-call') return { ...empty, input: argumentsObject(textOf(block)) };
  return block.redacted ? empty : { ...empty, thinking: textOf(block), signature: signatureOf(block) };
}

/** Anthropic's input count excludes cache reads and writes. */
function usageOf({
  inputTokens = 0,
  outputTokens = 0,
  cachedInputTokens: read = 0,
  cacheWriteInputTokens: written = 0,
}: UsageSoFar): object {
  return {
    input_tokens: Math.max(0, inputTokens - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: outputTokens,
  };
}
