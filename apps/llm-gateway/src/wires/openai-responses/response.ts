import { AnswerBounds } from '../../answer-bounds.ts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import { ReaderBase } from '../reader-base.ts';
import type { ReaderAbout } from '../reader-base.ts';
import { knownUsage } from '../values.ts';
import { OutputItems } from './output-items.ts';
import { eventSchema, responseSchema } from './schemas.ts';
import type { ResponseObject, ResponsesEvent } from './schemas.ts';

const cutReasons: Readonly<Record<string, FinishReason>> = { max_output_tokens: 'length', content_filter: 'refusal' };

/**
 * Reads an answer. `response.created` is the first event, even if an error follows. The last event is
 * `response.completed`, `response.incomplete`, `response.failed` or `error`.
 */
export class ResponsesReader extends ReaderBase implements AnswerReader {
  readonly #items: OutputItems;
  /** Status from the last event, and the reason if the answer is incomplete. */
  #end: { status: string; reason: string | null } | null = null;

  constructor(about: ReaderAbout) {
    super({ ...about, wire: 'openai-responses' });
    this.#items = new OutputItems(new AnswerBounds(`${about.provider}'s answer`));
  }

  get finished(): boolean {
    return this.#end !== null;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  event({ name, data }: StreamEvent): ModelDelta[] {
    // Compatible servers send `[DONE]`, which OpenAI doesn't document.
    if (data.trim() === '[DONE]') return [];
    const body = jsonOf(data);
    const parsed = eventSchema.safeParse(body);
    const type = parsed.data?.type ?? name;
    if (type === 'error' || isComplaint(body)) throw this.fail(body ?? data);
    if (!parsed.success) throw this.notOfThisWire('no event of a response');
    return this.#map(parsed.data);
  }

  whole(body: unknown): ModelDelta[] {
    const parsed = responseSchema.safeParse(body);
    const failed = parsed.data?.status === 'failed' || parsed.data?.status === 'cancelled';
    if (!failed && isComplaint(body)) throw this.fail(body);
    if (!parsed.success || (parsed.data.output ?? null) === null) throw this.notOfThisWire('no event of a response');
    const response = parsed.data;
    const { status } = response;
    const deltas = this.start(response.model, response.id);
    // Any other status, such as `in_progress`, means that the answer was cut.
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
        return response ? this.start(response.model, response.id) : [];
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        return this.#last(type.slice('response.'.length), response ?? null);
      default:
        return this.#items.map(event);
    }
  }

  #last(status: string, response: ResponseObject | null): ModelDelta[] {
    if (status !== 'completed' && status !== 'incomplete') {
      throw this.fail({ error: response?.error ?? `the answer was ${status}` });
    }
    this.#end = { status, reason: response?.incomplete_details?.reason ?? null };
    const deltas =
      response === null
        ? []
        : [...this.start(response.model, response.id), ...this.#items.whole(response.output ?? [])];
    const usage = usageOf(response);
    return usage === null ? deltas : [...deltas, { type: 'usage', usage }];
  }

  #finishReason(status: string, reason: string | null): FinishReason {
    if (status === 'incomplete') return cutReasons[reason ?? ''] ?? 'other';
    if (this.#items.refused) return 'refusal';
    return this.#items.calls > 0 ? 'tool-calls' : 'stop';
  }
}

/** Reports whether the body is an error instead of a response or an event. Servers of other kinds send such errors. */
function isComplaint(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || !('error' in body)) return false;
  return body.error !== null && body.error !== undefined && body.error !== false && body.error !== '';
}

/** The input count includes cached tokens, and the output count includes reasoning. */
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
