import type { FinishReason, ModelDelta } from '../../provider/port.ts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import { ReaderBase } from '../reader-base.ts';
import { calledAs, hasError, knownUsage, nonEmpty } from '../values.ts';
import { lineSchema } from './schemas.ts';
import type { Line, WireToolCall } from './schemas.ts';

const finishReasons: Readonly<Record<string, FinishReason>> = { stop: 'stop', length: 'length' };

/**
 * Reads an answer. Each line is a piece of the message. The last line has `done` and the counts. Instead of a piece,
 * any line may contain an error.
 */
export class LinesReader extends ReaderBase implements AnswerReader {
  #calls = 0;
  #thoughts = 0;
  #thinks = false;
  #doneReason: string | null = null;

  get finished(): boolean {
    return this.#doneReason !== null;
  }

  get ended(): boolean {
    return this.finished;
  }

  event({ data }: StreamEvent): ModelDelta[] {
    return this.whole(jsonOf(data));
  }

  whole(body: unknown): ModelDelta[] {
    if (hasError(body)) throw this.fail(body);
    const parsed = lineSchema.safeParse(body);
    if (!parsed.success) throw this.notOfThisWire("no line of a chat's answer");
    return this.#map(parsed.data);
  }

  end(): ModelDelta[] {
    if (this.#doneReason === null) return [];
    const finishReason = finishReasons[this.#doneReason] ?? 'other';
    return [{ type: 'response-end', finishReason, providerFinishReason: this.#doneReason }];
  }

  #map(line: Line): ModelDelta[] {
    const deltas = this.start(line.model, null);
    const { thinking, content, tool_calls: calls } = line.message ?? {};
    if (nonEmpty(thinking)) deltas.push({ type: 'thinking-delta', block: this.#think(), text: thinking });
    if (nonEmpty(content)) {
      this.#thinks = false;
      deltas.push({ type: 'text-delta', text: content });
    }
    for (const call of calls ?? []) deltas.push(this.#call(call));
    if (!line.done) return deltas;
    // Older servers send no finish reason.
    this.#doneReason = nonEmpty(line.done_reason) ? line.done_reason : 'stop';
    const usage = knownUsage({ inputTokens: line.prompt_eval_count, outputTokens: line.eval_count });
    return usage === null ? deltas : [...deltas, { type: 'usage', usage }];
  }

  /** Returns the number of the thinking block. Thinking after other output begins a new block. */
  #think(): number {
    if (!this.#thinks) this.#thoughts++;
    this.#thinks = true;
    return this.#thoughts - 1;
  }

  #call({ id, function: called }: WireToolCall): ModelDelta {
    this.#thinks = false;
    const written = argumentsOf(called?.arguments);
    return { type: 'tool-call-delta', call: this.#calls++, ...calledAs(id, called?.name), arguments: written };
  }
}

/** The documentation has an object, but some servers send a string. */
function argumentsOf(value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  return JSON.stringify(typeof value === 'object' && value !== null ? value : {});
}
