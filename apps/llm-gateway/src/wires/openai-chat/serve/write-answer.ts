import type { CoppiceError } from '@coppice/contracts';
import type { FinishReason, TranslatedDelta, UsageSoFar } from '../../../provider/port.ts';
import { AnswerBlocks, textOf } from '../../../answer-blocks.ts';
import type { AnswerBlock } from '../../../answer-blocks.ts';
import type { AnswerAbout, AnswerWriter, Frame } from '../../../ingress/http/endpoint.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import { jsonOf } from '../../../transport/json.ts';
import { openAiError } from '../../../ingress/http/openai-error.ts';

const finishReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  refusal: 'content_filter',
  other: 'stop',
};

const done: Frame = { name: null, data: '[DONE]' };

/** Writes an answer as a stream of chunks with one choice, or as one object. */
export class ChatAnswerWriter implements AnswerWriter {
  readonly #about: AnswerAbout;
  readonly #usageWanted: boolean;
  readonly #answer: AnswerBlocks;
  /** Tool calls that were begun, each with its index in the stream and its number of sent pieces. */
  readonly #calls = new Map<AnswerBlock, { index: number; sentPieces: number }>();
  #begun = false;
  #doneSeen = false;

  constructor(about: AnswerAbout, { usageWanted }: { usageWanted: boolean }) {
    this.#about = about;
    this.#usageWanted = usageWanted;
    this.#answer = new AnswerBlocks({ seed: about.id });
  }

  delta(delta: TranslatedDelta): Frame[] {
    this.#answer.add(delta);
    if (delta.type === 'text-delta' && delta.text !== '') return this.#chunks({ content: delta.text });
    if (delta.type === 'thinking-delta' && delta.text !== '') return this.#chunks({ reasoning_content: delta.text });
    if (delta.type === 'tool-call-delta') return this.#callPieces(false);
    return [];
  }

  end(): Frame[] {
    const frames = [...this.#callPieces(true), ...this.#chunks({}, finishReasons[this.#answer.finishReason])];
    const usage = { ...this.#head('chat.completion.chunk'), choices: [], usage: usageOf(this.#answer.usage) };
    return [...frames, ...(this.#usageWanted ? [frameOf(usage)] : []), done];
  }

  fail(error: CoppiceError): Frame[] {
    return [frameOf(openAiError(error, 'openai-chat').body)];
  }

  keepAlive(): string {
    return ': keep-alive\n\n';
  }

  whole(): object {
    const { blocks, calls, finishReason, usage } = this.#answer;
    const of = (type: AnswerBlock['type']) => blocks.filter((block) => block.type === type);
    const text = of('text').map(textOf).join('');
    const thought = of('thinking').map(textOf).join('\n\n');
    const message = {
      role: 'assistant',
      content: text === '' && calls.length > 0 ? null : text,
      refusal: null,
      ...(thought === '' ? {} : { reasoning_content: thought }),
      ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => wireCall(call, textOf(call))) }),
    };
    const choice = { index: 0, message, logprobs: null, finish_reason: finishReasons[finishReason] };
    return { ...this.#head('chat.completion'), choices: [choice], usage: usageOf(usage) };
  }

  /**
   * Passes on an event of the provider. Returns null for the chunk that contains only usage, if the client didn't
   * request usage. The gateway itself always requests it.
   */
  passOn(frame: Frame): Frame | null {
    if (frame.data.trim() === '[DONE]') this.#doneSeen = true;
    if (this.#usageWanted || !frame.data.includes('"usage"')) return frame;
    const { choices, usage } = fieldsOf(jsonOf(frame.data));
    const usageAlone = Array.isArray(choices) && choices.length === 0 && Boolean(usage);
    return usageAlone ? null : frame;
  }

  passedOn(): Frame[] {
    return this.#doneSeen ? [] : [done];
  }

  #callPieces(complete: boolean): Frame[] {
    const frames: Frame[] = [];
    for (const block of this.#answer.calls) {
      const known = this.#calls.get(block);
      // Clients order calls by index, so the calls after an unnamed call wait, too.
      if (known === undefined && !complete && (block.id === '' || block.name === '')) break;
      const call = known ?? { index: this.#calls.size, sentPieces: 0 };
      const text = block.pieces.slice(call.sentPieces).join('');
      call.sentPieces = block.pieces.length;
      this.#calls.set(block, call);
      if (known === undefined)
        frames.push(...this.#chunks({ tool_calls: [{ index: call.index, ...wireCall(block, text) }] }));
      else if (text !== '')
        frames.push(...this.#chunks({ tool_calls: [{ index: call.index, function: { arguments: text } }] }));
    }
    return frames;
  }

  #chunks(delta: object, finishReason: string | null = null): Frame[] {
    const first = this.#begun ? {} : { role: 'assistant' };
    this.#begun = true;
    const choice = { index: 0, delta: { ...first, ...delta }, logprobs: null, finish_reason: finishReason };
    const usage = this.#usageWanted ? { usage: null } : {};
    return [frameOf({ ...this.#head('chat.completion.chunk'), choices: [choice], ...usage })];
  }

  #head(object: string): object {
    const { id, model, nowMs } = this.#about;
    const created = Math.floor(nowMs / 1_000);
    return { id: `chatcmpl-${id}`, object, created, model: this.#answer.responseModel ?? model };
  }
}

const frameOf = (value: object): Frame => ({ name: null, data: JSON.stringify(value) });

function wireCall({ id, name, signature }: AnswerBlock, text: string): object {
  const google = signature?.wire === 'gemini' ? { google: { thought_signature: signature.value } } : null;
  return {
    id,
    type: 'function',
    function: { name, arguments: text },
    ...(google === null ? {} : { extra_content: google }),
  };
}

function usageOf({ inputTokens = 0, outputTokens = 0, cachedInputTokens, reasoningTokens }: UsageSoFar): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedInputTokens ?? 0 },
    completion_tokens_details: { reasoning_tokens: reasoningTokens ?? 0 },
  };
}
