import type { CoppiceError } from '@coppice/contracts';
import { argumentsObject } from '../../acceptable-history.ts';
import { AnswerBlocks, textOf } from '../../../ingress/http/answer-blocks.ts';
import type { AnswerBlock } from '../../../ingress/http/answer-blocks.ts';
import type { AnswerAbout, AnswerWriter, Frame, TranslatedDelta } from '../../../ingress/http/endpoint.ts';
import { ollamaError } from './write-error.ts';

/** Writes answers in Ollama's format: a line for each piece, or the whole answer. Calls can't be split, so they come last. */
export class OllamaAnswerWriter implements AnswerWriter {
  readonly #about: AnswerAbout;
  readonly #answer: AnswerBlocks;

  constructor(about: AnswerAbout) {
    this.#about = about;
    this.#answer = new AnswerBlocks(about.id);
  }

  delta(delta: TranslatedDelta): Frame[] {
    this.#answer.add(delta);
    if (delta.type === 'text-delta' && delta.text !== '') return [this.#line({ content: delta.text })];
    if (delta.type === 'thinking-delta' && delta.text !== '')
      return [this.#line({ content: '', thinking: delta.text })];
    return [];
  }

  end(): Frame[] {
    const calls = this.#answer.calls.map(wireCall);
    const called = calls.length === 0 ? [] : [this.#line({ content: '', tool_calls: calls })];
    return [...called, frameOf({ ...this.#message({ content: '' }), ...this.#ending() })];
  }

  fail(error: CoppiceError): Frame[] {
    return [frameOf(ollamaError(error).body)];
  }

  /** Returns a line without content. An empty line would be taken for broken JSON. */
  keepAlive(): string {
    return `${this.#line({ content: '' }).data}\n`;
  }

  whole(): object {
    const { blocks } = this.#answer;
    const textOfAll = (type: AnswerBlock['type']) =>
      blocks
        .filter((block) => block.type === type)
        .map(textOf)
        .join('');
    const thinking = textOfAll('thinking');
    const calls = this.#answer.calls.map(wireCall);
    const message = {
      content: textOfAll('text'),
      ...(thinking === '' ? {} : { thinking }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    };
    return { ...this.#message(message), ...this.#ending() };
  }

  passOn(frame: Frame): Frame {
    return frame;
  }

  passedOn(): Frame[] {
    return [];
  }

  #line(message: object): Frame {
    return frameOf({ ...this.#message(message), done: false });
  }

  #message(message: object): object {
    const { model, nowMs } = this.#about;
    return { model, created_at: new Date(nowMs).toISOString(), message: { role: 'assistant', ...message } };
  }

  #ending(): object {
    const { finishReason, usage } = this.#answer;
    const tookNanoseconds = Math.max(0, Date.now() - this.#about.nowMs) * 1_000_000;
    return {
      done: true,
      done_reason: finishReason === 'length' ? 'length' : 'stop',
      total_duration: tookNanoseconds,
      load_duration: 0,
      prompt_eval_count: usage.inputTokens ?? 0,
      prompt_eval_duration: 0,
      eval_count: usage.outputTokens ?? 0,
      eval_duration: tookNanoseconds,
    };
  }
}

const frameOf = (value: object): Frame => ({ name: null, data: JSON.stringify(value) });

const wireCall = (block: AnswerBlock): object => ({
  id: block.id,
  function: { name: block.name, arguments: argumentsObject(textOf(block)) },
});
