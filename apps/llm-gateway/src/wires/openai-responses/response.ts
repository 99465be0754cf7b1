import { CoppiceError } from '@coppice/contracts';
import { AnswerBounds } from '../../answer-bounds.ts';
import { providerError } from '../../transport/errors.ts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import { knownUsage } from '../values.ts';
import { OutputItems } from './output-items.ts';
import { eventSchema, responseSchema } from './schemas.ts';
import type { ResponseObject, ResponsesEvent } from './schemas.ts';

const cutReasons: Readonly<Record<string, FinishReason>> = { max_output_tokens: 'length', content_filter: 'refusal' };

/** Reads an answer. All events, errors included, follow `response.created`; the last one is completed, incomplete, failed or error. */
export class ResponsesReader implements AnswerReader {
  readonly #provider: string;
  readonly #secret: string | null;
  readonly #items: OutputItems;
  #begun = false;
  /** From the last event: the answer's status, and why it is incomplete. */
  #end: { status: string; reason: string | null } | null = null;

  /** `secret` is redacted from errors. */
  constructor({ provider, secret }: { provider: string; secret: string | null }) {
    this.#provider = provider;
    this.#secret = secret;
    this.#items = new OutputItems(new AnswerBounds(`${provider}'s answer`));
  }

  get finished(): boolean {
    return this.#end !== null;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  event({ name, data }: StreamEvent): ModelDelta[] {
    // Undocumented, but compatible servers send it.
    if (data.trim() === '[DONE]') return [];
    const body = jsonOf(data);
    const parsed = eventSchema.safeParse(body);
    const type = parsed.data?.type ?? name;
    if (type === 'error' || isComplaint(body)) throw this.#fail(body ?? data);
    if (!parsed.success) throw this.#unknown();
    return this.#map(parsed.data);
  }

  whole(body: unknown): ModelDelta[] {
    const parsed = responseSchema.safeParse(body);
    const failed = parsed.data?.status === 'failed' || parsed.data?.status === 'cancelled';
    if (!failed && isComplaint(body)) throw this.#fail(body);
    if (!parsed.success || (parsed.data.output ?? null) === null) throw this.#unknown();
    const response = parsed.data;
    const { status } = response;
    const deltas = this.#start(response);
    // A status such as `in_progress` isn't final: the answer counts as cut.
    return status === 'completed' || status === 'incomplete' || failed
      ? [...deltas, ...this.#last(status ?? '', response)]
      : deltas;
  }

  end(): ModelDelta[] {
    if (this.#end === null) return [];
    const { status, reason } = this.#end;
    return [
      ...this.#items.finish(),
      {
        type: 'response-end',
        finishReason: this.#finishReason(status, reason),
        providerFinishReason: reason ?? status,
      },
    ];
  }

  #map(event: ResponsesEvent): ModelDelta[] {
    const { type, response } = event;
    switch (type) {
      case 'response.created':
      case 'response.in_progress':
        return response ? this.#start(response) : [];
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        return this.#last(type.slice('response.'.length), response ?? null);
      default:
        return this.#items.map(event);
    }
  }

  #start({ id, model }: ResponseObject): ModelDelta[] {
    if (this.#begun || (!id && !model)) return [];
    this.#begun = true;
    return [
      {
        type: 'response-start',
        ...(model ? { responseModel: model } : {}),
        ...(id ? { responseId: id } : {}),
      },
    ];
  }

  #last(status: string, response: ResponseObject | null): ModelDelta[] {
    if (status !== 'completed' && status !== 'incomplete') {
      throw this.#fail({ error: response?.error ?? `the answer was ${status}` });
    }
    this.#end = { status, reason: response?.incomplete_details?.reason ?? null };
    const deltas = response === null ? [] : [...this.#start(response), ...this.#items.whole(response.output ?? [])];
    const usage = usageOf(response);
    return usage === null ? deltas : [...deltas, { type: 'usage', usage }];
  }

  #finishReason(status: string, reason: string | null): FinishReason {
    if (status === 'incomplete') return cutReasons[reason ?? ''] ?? 'other';
    if (this.#items.refused) return 'refusal';
    return this.#items.calls > 0 ? 'tool-calls' : 'stop';
  }

  /** An error inside the answer; retryable unless it says otherwise. */
  #fail(body: unknown): CoppiceError {
    return providerError({ provider: this.#provider, secret: this.#secret, body, wire: 'openai-responses' });
  }

  #unknown(): CoppiceError {
    const text = `${this.#provider} sent what is no event of a response`;
    return new CoppiceError('provider-failed', text, { retryable: true });
  }
}

/** Reports whether the body is an error in the form that other servers send in place of a response or an event. */
function isComplaint(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || !('error' in body)) return false;
  return body.error !== null && body.error !== undefined && body.error !== false && body.error !== '';
}

/** The input count includes cached tokens, and the output count includes reasoning: neither is added. */
function usageOf(response: ResponseObject | null): UsageSoFar | null {
  const usage = response?.usage;
  if (!usage) return null;
  return knownUsage({
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cachedInputTokens: usage.input_tokens_details?.cached_tokens,
    reasoningTokens: usage.output_tokens_details?.reasoning_tokens,
  });
}
