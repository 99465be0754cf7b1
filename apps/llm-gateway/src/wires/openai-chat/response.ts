import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import { ReaderBase } from '../reader-base.ts';
import type { ReaderAbout } from '../reader-base.ts';
import { knownUsage, nonEmpty } from '../values.ts';
import { ToolCallMerger } from './tool-calls.ts';
import { chunkSchema } from './schemas.ts';
import type { Chunk, ChunkMessage } from './schemas.ts';

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'refusal',
};

/** Reads an answer. Usage and pieces of tool calls may follow the finish reason. */
export class ChatAnswerReader extends ReaderBase implements AnswerReader {
  readonly #calls: ToolCallMerger;
  #refused = false;
  #finishReason: string | null = null;
  #ended = false;

  constructor(about: ReaderAbout) {
    super({ ...about, wire: 'openai-chat' });
    this.#calls = new ToolCallMerger(about.provider);
  }

  get finished(): boolean {
    return this.#finishReason !== null && this.#calls.areWhole();
  }

  get ended(): boolean {
    return this.#ended;
  }

  event({ name, data }: StreamEvent): ModelDelta[] {
    if (data.trim() === '[DONE]') {
      this.#ended = true;
      return [];
    }
    if (name === 'error') throw this.fail(jsonOf(data) ?? data);
    return this.whole(jsonOf(data));
  }

  /** Maps an unstreamed answer, which is an event with `message` instead of `delta`. */
  whole(body: unknown): ModelDelta[] {
    const parsed = chunkSchema.safeParse(body);
    if (!parsed.success) throw this.notOfThisWire('no event of a chat completion');
    const chunk = parsed.data;
    const error = chunk.error ?? chunk.choices?.find((choice) => isError(choice.error))?.error;
    if (isError(error)) throw this.fail({ error });
    return this.#map(chunk);
  }

  end(): ModelDelta[] {
    if (this.#finishReason === null) return [];
    const finishReason = this.#refused ? 'refusal' : (finishReasons[this.#finishReason] ?? 'other');
    return [...this.#calls.finish(), { type: 'response-end', finishReason, providerFinishReason: this.#finishReason }];
  }

  #map(chunk: Chunk): ModelDelta[] {
    const deltas = this.start(chunk.model, chunk.id);
    for (const choice of chunk.choices ?? []) {
      // The gateway requests only one choice.
      if ((choice.index ?? 0) !== 0) continue;
      const message = choice.delta ?? choice.message;
      if (message) deltas.push(...this.#mapMessage(message));
      const reason = choice.finish_reason;
      if (typeof reason !== 'string' || reason === '') continue;
      if (reason === 'error') throw this.fail({ error: 'the answer ended with an error' });
      this.#finishReason = reason;
    }
    const usage = usageOf(chunk);
    if (usage !== null) deltas.push({ type: 'usage', usage });
    return deltas;
  }

  #mapMessage(message: ChunkMessage): ModelDelta[] {
    const { content, refusal, tool_calls: toolCalls } = message;
    const deltas: ModelDelta[] = [];
    const thought = message.reasoning_content ?? message.reasoning;
    if (nonEmpty(thought)) deltas.push({ type: 'thinking-delta', block: 0, text: thought });
    const said = textOf(content);
    if (said !== '') deltas.push({ type: 'text-delta', text: said });
    if (typeof refusal === 'string' && refusal !== '') {
      this.#refused = true;
      deltas.push({ type: 'text-delta', text: refusal });
    }
    for (const call of toolCalls ?? []) {
      const piece = {
        id: nullIfEmpty(call.id),
        index: call.index ?? null,
        name: nullIfEmpty(call.function?.name),
        arguments: argumentsOf(call.function?.arguments),
      };
      deltas.push(this.#calls.add(piece));
    }
    return deltas;
  }
}

/** The prompt count includes cached tokens, and the completion count includes reasoning. */
function usageOf({ usage }: Chunk): UsageSoFar | null {
  if (!usage) return null;
  return knownUsage({
    inputTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens,
    cachedInputTokens: usage.prompt_tokens_details?.cached_tokens,
    audioInputTokens: usage.prompt_tokens_details?.audio_tokens,
    audioOutputTokens: usage.completion_tokens_details?.audio_tokens,
    reasoningTokens: usage.completion_tokens_details?.reasoning_tokens,
    costUsd: usage.cost,
  });
}

function textOf(content: ChunkMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => (part.type === 'text' ? (part.text ?? '') : '')).join('');
}

function argumentsOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

const nullIfEmpty = (value: string | null | undefined): string | null =>
  value === undefined || value === '' ? null : value;

const isError = (value: unknown): boolean => value !== undefined && value !== null && value !== false && value !== '';
