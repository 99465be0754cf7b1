import type { CoppiceError } from '@coppice/contracts';
import { jsonOf } from '../../../transport/json.ts';
import { AnswerBlocks } from '../../../answer-blocks.ts';
import { BlockSequence } from '../../../ingress/http/block-sequence.ts';
import type { AnswerAbout, AnswerWriter, Frame } from '../../../ingress/http/endpoint.ts';
import type { TranslatedDelta } from '../../../provider/port.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import type { Kept } from '../../../ingress/http/kept-items.ts';
import { facadeLimits } from '../../../ingress/http/limits.ts';
import { openAiError } from '../../../ingress/http/openai-error.ts';
import { carriersOf, itemOf, stepEvents } from './output-items.ts';
import type { ItemAbout } from './output-items.ts';
import { keptPassed } from './references.ts';
import type { ResponsesRequest } from './schemas.ts';

type RepeatedSettings = Pick<
  ResponsesRequest,
  'instructions' | 'store' | 'max_output_tokens' | 'parallel_tool_calls' | 'temperature' | 'tool_choice' | 'top_p'
>;

/** Types of events in quotes. The text of a model can't contain them, since JSON escapes its quotes. */
const itemDone = '"response.output_item.done"';
const ends = ['"response.completed"', '"response.incomplete"'];

/** Writes an answer as a stream of items, or as one object. */
export class ResponsesAnswerWriter implements AnswerWriter {
  readonly #about: AnswerAbout;
  readonly #request: RepeatedSettings;
  readonly #customTools: ReadonlySet<string>;
  readonly #answer: AnswerBlocks;
  readonly #sequence: BlockSequence;
  #begun = false;
  #sequenceNumber = 0;
  #output: object[] = [];
  readonly #passed: unknown[] = [];
  #passedBytes = 0;

  constructor(
    about: AnswerAbout,
    { customTools, request }: { customTools: ReadonlySet<string>; request: RepeatedSettings },
  ) {
    this.#about = about;
    this.#request = request;
    this.#customTools = customTools;
    this.#answer = new AnswerBlocks({ seed: about.id });
    this.#sequence = new BlockSequence(this.#answer);
  }

  delta(delta: TranslatedDelta): Frame[] {
    this.#answer.add(delta);
    return delta.type.endsWith('-delta') ? this.#framesOf(this.#sequence.next()) : [];
  }

  end(): Frame[] {
    const frames = this.#framesOf(this.#sequence.end());
    const response = this.#response(this.#output);
    return [...this.#start(), ...frames, this.#event(`response.${this.#ending().status}`, { response })];
  }

  fail(error: CoppiceError): Frame[] {
    const { body, code } = openAiError(error, 'openai-responses');
    const { message, param } = (body as { error: { message: string; param: string | null } }).error;
    const failure = { code: code ?? 'server_error', message };
    const response = { ...this.#response(this.#output), status: 'failed', error: failure, usage: null };
    return [
      ...this.#start(),
      this.#event('error', { ...failure, param }),
      this.#event('response.failed', { response }),
    ];
  }

  keepAlive(): string {
    return ': keep-alive\n\n';
  }

  whole(): object {
    const output: object[] = [];
    for (const block of this.#answer.blocks) {
      const items = [...carriersOf(block), block];
      for (const item of items) output.push(itemOf(item, this.#item(output.length)));
    }
    this.#output = output;
    return this.#response(output);
  }

  /** Returns nothing for `store: false`, since such a client sends the items again instead of references. */
  kept(): readonly Kept[] {
    if (this.#request.store === false || this.#output.length === 0) return [];
    return [{ key: this.#about.id, items: this.#output }];
  }

  keptPassed(data: string, whole: boolean): readonly Kept[] {
    if (this.#request.store === false) return [];
    if (whole) return keptPassed(fieldsOf(jsonOf(data))['output']);
    if (data.includes(itemDone)) {
      this.#passedBytes += data.length;
      if (this.#passedBytes <= facadeLimits.items.answerBytesMax) this.#passed.push(fieldsOf(jsonOf(data))['item']);
    }
    return ends.some((end) => data.includes(end)) ? keptPassed(this.#passed.splice(0)) : [];
  }

  #item(index: number): ItemAbout {
    return { id: this.#about.id, index, customTools: this.#customTools };
  }

  #start(): Frame[] {
    if (this.#begun) return [];
    this.#begun = true;
    const response = { ...this.#response([]), status: 'in_progress', usage: null, incomplete_details: null };
    return [this.#event('response.created', { response }), this.#event('response.in_progress', { response })];
  }

  #framesOf(steps: ReturnType<BlockSequence['next']>): Frame[] {
    if (steps.length === 0) return [];
    const frames = this.#start();
    for (const step of steps) {
      if (step.type === 'open') for (const carrier of carriersOf(step.block)) frames.push(...this.#wholeItem(carrier));
      const about = this.#item(this.#output.length);
      for (const { type, ...fields } of stepEvents(step, about)) frames.push(this.#event(type, fields));
      if (step.type === 'close') this.#output.push(itemOf(step.block, about));
    }
    return frames;
  }

  #wholeItem(block: Parameters<typeof itemOf>[0]): Frame[] {
    const output_index = this.#output.length;
    const item = itemOf(block, this.#item(output_index));
    this.#output.push(item);
    return ['added', 'done'].map((what) => this.#event(`response.output_item.${what}`, { output_index, item }));
  }

  #event(type: string, fields: object): Frame {
    const data = JSON.stringify({ type, sequence_number: this.#sequenceNumber++, ...fields });
    return { name: type, data };
  }

  #ending(): { status: 'completed' | 'incomplete'; incomplete_details: object | null } {
    const { finishReason } = this.#answer;
    if (finishReason === 'length') return { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
    if (finishReason === 'refusal') return { status: 'incomplete', incomplete_details: { reason: 'content_filter' } };
    return { status: 'completed', incomplete_details: null };
  }

  #response(output: readonly object[]): object {
    const { id, model, nowMs } = this.#about;
    const { inputTokens = 0, outputTokens = 0, cachedInputTokens = 0, reasoningTokens = 0 } = this.#answer.usage;
    const { instructions, max_output_tokens, parallel_tool_calls, temperature, tool_choice, top_p } = this.#request;
    return {
      id: `resp_${id}`,
      object: 'response',
      created_at: Math.floor(nowMs / 1_000),
      error: null,
      instructions: instructions ?? null,
      max_output_tokens: max_output_tokens ?? null,
      metadata: {},
      model: this.#answer.responseModel ?? model,
      output,
      parallel_tool_calls: parallel_tool_calls ?? true,
      previous_response_id: null,
      store: false,
      temperature: temperature ?? null,
      tool_choice: tool_choice ?? 'auto',
      tools: [],
      top_p: top_p ?? null,
      usage: {
        input_tokens: inputTokens,
        input_tokens_details: { cached_tokens: cachedInputTokens },
        output_tokens: outputTokens,
        output_tokens_details: { reasoning_tokens: reasoningTokens },
        total_tokens: inputTokens + outputTokens,
      },
      ...this.#ending(),
    };
  }
}
