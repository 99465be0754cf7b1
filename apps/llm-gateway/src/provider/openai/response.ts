import { CoppiceError } from '@coppice/contracts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../port.ts';
import { providerError } from './errors.ts';
import { ToolCallMerger } from './tool-calls.ts';
import { chunkSchema } from './wire.ts';
import type { Chunk, ChunkMessage } from './wire.ts';

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'refusal',
};

/**
 * The pure mapping of an answer's events to the port's deltas. It ends only at the stream's end: usage comes after the finish reason, and
 * pieces of tool calls may.
 */
export class AnswerReader {
  readonly #provider: string;
  readonly #secret: string | null;
  readonly #calls = new ToolCallMerger();
  #begun = false;
  #refused = false;
  #finishReason: FinishReason | null = null;

  /** `secret` is kept out of errors. */
  constructor(provider: string, secret: string | null = null) {
    this.#provider = provider;
    this.#secret = secret;
  }

  /** The finish reason is there: a stream that ends now is whole. */
  get finished(): boolean {
    return this.#finishReason !== null;
  }

  /** @throws CoppiceError where the event says that the provider failed, or isn't what was agreed on. */
  read(data: string): ModelDelta[] {
    const parsed = chunkSchema.safeParse(jsonOf(data));
    if (!parsed.success) {
      const text = `${this.#provider} sent what is no event of a chat completion`;
      throw new CoppiceError('provider-failed', text, { retryable: true });
    }
    const chunk = parsed.data;
    const error = chunk.error ?? chunk.choices?.find((choice) => isError(choice.error))?.error;
    if (isError(error)) throw this.fail({ error });
    return this.#map(chunk);
  }

  /** An error that the stream itself brings; retryable unless it says otherwise. */
  fail(body: unknown): CoppiceError {
    return providerError({ provider: this.#provider, secret: this.#secret, body });
  }

  /** What the stream's end completes; nothing where no finish reason came: then the answer was cut. */
  end(): ModelDelta[] {
    if (this.#finishReason === null) return [];
    const finishReason = this.#refused ? 'refusal' : this.#finishReason;
    return [...this.#calls.finish(), { type: 'response-end', finishReason }];
  }

  #map(chunk: Chunk): ModelDelta[] {
    const deltas: ModelDelta[] = [];
    if (!this.#begun && typeof chunk.model === 'string' && chunk.model !== '') {
      this.#begun = true;
      deltas.push({ type: 'response-start', responseModel: chunk.model });
    }
    for (const choice of chunk.choices ?? []) {
      // One answer is asked for.
      if ((choice.index ?? 0) !== 0) continue;
      const message = choice.delta ?? choice.message;
      if (message) deltas.push(...this.#mapMessage(message));
      const reason = choice.finish_reason;
      if (typeof reason !== 'string' || reason === '') continue;
      if (reason === 'error') throw this.fail({ error: 'the answer ended with an error' });
      this.#finishReason = finishReasons[reason] ?? 'other';
    }
    const usage = usageOf(chunk);
    if (usage !== null) deltas.push({ type: 'usage', usage });
    return deltas;
  }

  #mapMessage({ content, refusal, tool_calls: toolCalls }: ChunkMessage): ModelDelta[] {
    const deltas: ModelDelta[] = [];
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

/** Cached tokens are among those of the prompt, reasoning is among those of the completion: neither is added. */
function usageOf({ usage }: Chunk): UsageSoFar | null {
  if (!usage) return null;
  const counts: [keyof UsageSoFar, number | null | undefined][] = [
    ['inputTokens', usage.prompt_tokens],
    ['outputTokens', usage.completion_tokens],
    ['cachedInputTokens', usage.prompt_tokens_details?.cached_tokens],
    ['reasoningTokens', usage.completion_tokens_details?.reasoning_tokens],
    ['costUsd', usage.cost],
  ];
  const known: UsageSoFar = {};
  for (const [name, value] of counts) if (typeof value === 'number') known[name] = value;
  return Object.keys(known).length === 0 ? null : known;
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

/** Undefined where it isn't JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
