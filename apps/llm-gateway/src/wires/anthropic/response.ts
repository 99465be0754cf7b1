import { AnswerBounds } from '../../answer-bounds.ts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import { ReaderBase } from '../reader-base.ts';
import type { ReaderAbout } from '../reader-base.ts';
import { calledAs, hasError, knownUsage, nonEmpty } from '../values.ts';
import { eventSchema, messageSchema } from './schemas.ts';
import type { Block, End, WireEvent, WireUsage } from './schemas.ts';

const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'refusal',
};

/**
 * A block that may get further pieces. `input` is the initial input of a tool call as JSON. It is used if all pieces of
 * the input are blank.
 */
type OpenBlock =
  | { kind: 'text' }
  | { kind: 'thinking'; block: number }
  | { kind: 'call'; call: number; input: string; said: boolean };

/**
 * Reads an answer, which consists of blocks. Each piece names its block by index. Blocks, pieces and events of unknown
 * types are ignored. The stop reason arrives with the final counts, before the last event.
 */
export class MessageReader extends ReaderBase implements AnswerReader {
  readonly #bounds: AnswerBounds;
  readonly #blocks = new Map<number, OpenBlock>();
  readonly #usage: WireUsage = {};
  #thoughts = 0;
  #calls = 0;
  #saidAnything = false;
  #end: End | null = null;
  #ended = false;

  constructor(about: ReaderAbout) {
    super(about);
    this.#bounds = new AnswerBounds(`${about.provider}'s answer`);
  }

  get finished(): boolean {
    return this.#end !== null;
  }

  get ended(): boolean {
    return this.#ended;
  }

  event({ name, data }: StreamEvent): ModelDelta[] {
    const body = jsonOf(data);
    const parsed = eventSchema.safeParse(body);
    if (name === 'error' || parsed.data?.type === 'error' || hasError(body)) throw this.fail(body ?? data);
    if (parsed.success) return this.#map(parsed.data);
    // Ignores an unknown event, since the schema needn't fit it.
    if (name !== null && !knownEvents.has(name)) return [];
    throw this.notOfThisWire('no event of a message');
  }

  whole(body: unknown): ModelDelta[] {
    if (hasError(body)) throw this.fail(body);
    const message = messageSchema.safeParse(body).data;
    if (!message?.content || !message.stop_reason) throw this.notOfThisWire('no message');
    const deltas = this.#map({ type: 'message_start', message });
    for (const [index, block] of message.content.entries()) deltas.push(...this.#open(index, block));
    this.#finish(message);
    return [...deltas, ...this.#count(message.usage)];
  }

  end(): ModelDelta[] {
    if (this.#end === null) return [];
    const deltas: ModelDelta[] = [];
    for (const block of this.#blocks.values()) {
      if (block.kind !== 'call' || block.said) continue;
      deltas.push({ type: 'tool-call-delta', call: block.call, arguments: block.input });
    }
    const { stop_reason: reason, stop_details: details } = this.#end;
    const finishReason = finishReasons[reason ?? ''] ?? 'other';
    // A refusal without text has its explanation in a separate field.
    const explanation = finishReason === 'refusal' && !this.#saidAnything ? details?.explanation : null;
    if (nonEmpty(explanation)) deltas.push({ type: 'text-delta', text: explanation });
    return [...deltas, { type: 'response-end', finishReason, providerFinishReason: reason ?? '' }];
  }

  #map({ type, index, message, content_block: block, delta, usage }: WireEvent): ModelDelta[] {
    switch (type) {
      case 'message_start':
        // There is no output yet, so the output count of this event is ignored. If the stream is cut, the gateway
        // estimates the output count.
        return [...this.start(message?.model, message?.id), ...this.#count({ ...message?.usage, output_tokens: null })];
      case 'content_block_start':
        return block ? this.#open(index ?? this.#blocks.size, block) : [];
      case 'content_block_delta':
        return delta ? this.#piece(index ?? this.#blocks.size - 1, delta) : [];
      case 'message_delta':
        if (delta) this.#finish(delta);
        return this.#count(usage);
      case 'message_stop':
        this.#ended = true;
        return [];
      default:
        return [];
    }
  }

  #open(index: number, { type, text, thinking, signature, data, id, name, input }: Block): ModelDelta[] {
    this.#bounds.openPart();
    switch (type) {
      case 'text':
        this.#blocks.set(index, { kind: 'text' });
        return this.#text(text);
      case 'thinking':
        return this.#thought(this.#think(index), thinking, signature);
      case 'redacted_thinking':
        return [{ type: 'thinking-delta', block: this.#think(index), text: '', redacted: true, ...signed(data) }];
      case 'tool_use': {
        const call = this.#calls++;
        const begun = JSON.stringify(input ?? {});
        this.#bounds.take(begun);
        this.#blocks.set(index, { kind: 'call', call, input: begun, said: false });
        return [{ type: 'tool-call-delta', call, ...calledAs(id, name), arguments: '' }];
      }
      default:
        return [];
    }
  }

  #piece(index: number, delta: NonNullable<WireEvent['delta']>): ModelDelta[] {
    const block = this.#blocks.get(index);
    if (block === undefined) return [];
    if (block.kind === 'text') return this.#text(delta.text);
    if (block.kind === 'thinking') return this.#thought(block.block, delta.thinking, delta.signature);
    // A tool call without arguments may have one piece, which is empty.
    if (!nonEmpty(delta.partial_json)) return [];
    block.said ||= delta.partial_json.trim() !== '';
    return [{ type: 'tool-call-delta', call: block.call, arguments: delta.partial_json }];
  }

  #text(text: string | null | undefined): ModelDelta[] {
    if (!nonEmpty(text)) return [];
    this.#saidAnything = true;
    return [{ type: 'text-delta', text }];
  }

  /**
   * Returns no delta for a piece without text and signature. A delta would count as output, and the gateway couldn't
   * try another provider after an error.
   */
  #thought(block: number, text: string | null | undefined, signature: string | null | undefined): ModelDelta[] {
    if (!nonEmpty(text) && !nonEmpty(signature)) return [];
    return [{ type: 'thinking-delta', block, text: text ?? '', ...signed(signature) }];
  }

  #think(index: number): number {
    const block = this.#thoughts++;
    this.#blocks.set(index, { kind: 'thinking', block });
    return block;
  }

  #finish({ stop_reason: reason, stop_details: details }: End): void {
    if (nonEmpty(reason)) this.#end = { stop_reason: reason, stop_details: details };
  }

  /** Updates the counts. Later events repeat counts with newer values. */
  #count(usage: WireUsage | null | undefined): ModelDelta[] {
    for (const [name, value] of Object.entries(usage ?? {})) {
      if (value !== null && value !== undefined) Object.assign(this.#usage, { [name]: value });
    }
    const known = usageOf(this.#usage);
    return known === null ? [] : [{ type: 'usage', usage: known }];
  }
}

const knownEvents: ReadonlySet<string> = new Set([
  'message_start',
  'content_block_start',
  'content_block_delta',
  'content_block_stop',
  'message_delta',
  'message_stop',
]);

/** The wire format's input count excludes cache reads and writes. The gateway's input count includes them. */
function usageOf(usage: WireUsage): UsageSoFar | null {
  const { input_tokens: uncached, cache_read_input_tokens: read, cache_creation_input_tokens: written } = usage;
  return knownUsage({
    inputTokens: typeof uncached === 'number' ? uncached + (read ?? 0) + (written ?? 0) : null,
    outputTokens: usage.output_tokens,
    cachedInputTokens: read,
    cacheWriteInputTokens: written,
    cacheWriteHourInputTokens: usage.cache_creation?.ephemeral_1h_input_tokens,
    reasoningTokens: usage.output_tokens_details?.thinking_tokens,
  });
}

const signed = (value: string | null | undefined) =>
  nonEmpty(value) ? { signature: { wire: 'anthropic', value } } : {};
