import type { CoppiceError } from '@coppice/contracts';
import { argumentsObject } from '../../acceptable-history.ts';
import type { FinishReason, TranslatedDelta, UsageSoFar } from '../../../provider/port.ts';
import { AnswerBlocks, textOf } from '../../../answer-blocks.ts';
import type { AnswerBlock } from '../../../answer-blocks.ts';
import type { AnswerAbout, AnswerWriter, Frame } from '../../../ingress/http/endpoint.ts';
import { signatureText } from './parts.ts';
import { generateError } from './write-error.ts';

const finishReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'STOP',
  length: 'MAX_TOKENS',
  'tool-calls': 'STOP',
  refusal: 'SAFETY',
  other: 'OTHER',
};

/**
 * Writes an answer as a stream of chunks with parts, or as one object. A stream has all tool calls at its end, since
 * the format can't split a call.
 */
export class GenerateAnswerWriter implements AnswerWriter {
  readonly #about: AnswerAbout;
  readonly #answer: AnswerBlocks;

  constructor(about: AnswerAbout) {
    this.#about = about;
    this.#answer = new AnswerBlocks({ seed: about.id });
  }

  delta(delta: TranslatedDelta): Frame[] {
    this.#answer.add(delta);
    if (delta.type !== 'text-delta' && delta.type !== 'thinking-delta') return [];
    const { text, signature } = delta;
    if (text === '' && signature === undefined) return [];
    const thought = delta.type === 'thinking-delta' ? { thought: true } : {};
    const signed = signature === undefined ? {} : { thoughtSignature: signatureText(signature) };
    return [this.#chunk([{ text, ...thought, ...signed }])];
  }

  end(): Frame[] {
    return [this.#chunk(this.#answer.calls.map(callPart), this.#ending())];
  }

  fail(error: CoppiceError): Frame[] {
    return [{ name: null, data: JSON.stringify(generateError(error).body) }];
  }

  keepAlive(): string {
    return '\n';
  }

  whole(): object {
    const parts = this.#answer.blocks.map((block) => {
      if (block.type === 'tool-call') return callPart(block);
      const thought = block.type === 'thinking' ? { thought: true } : {};
      const signed = block.signature === undefined ? {} : { thoughtSignature: signatureText(block.signature) };
      return { text: textOf(block), ...thought, ...signed };
    });
    return this.#response(parts, this.#ending());
  }

  #ending(): { finishReason: string; usage: object } {
    return { finishReason: finishReasons[this.#answer.finishReason], usage: usageOf(this.#answer.usage) };
  }

  #chunk(parts: readonly object[], ending?: { finishReason: string; usage: object }): Frame {
    return { name: null, data: JSON.stringify(this.#response(parts, ending)) };
  }

  #response(parts: readonly object[], ending?: { finishReason: string; usage: object }): object {
    const finish = ending === undefined ? {} : { finishReason: ending.finishReason };
    return {
      candidates: [{ content: { parts, role: 'model' }, ...finish, index: 0 }],
      ...(ending === undefined ? {} : { usageMetadata: ending.usage }),
      modelVersion: this.#answer.responseModel ?? this.#about.model,
      responseId: this.#about.id,
    };
  }
}

function callPart(block: AnswerBlock): object {
  const { id, name, signature } = block;
  const signed = signature === undefined ? {} : { thoughtSignature: signatureText(signature) };
  return { functionCall: { id, name, args: argumentsObject(textOf(block)) }, ...signed };
}

function usageOf({ inputTokens = 0, outputTokens = 0, cachedInputTokens, reasoningTokens = 0 }: UsageSoFar): object {
  return {
    promptTokenCount: inputTokens,
    candidatesTokenCount: Math.max(0, outputTokens - reasoningTokens),
    ...(reasoningTokens === 0 ? {} : { thoughtsTokenCount: reasoningTokens }),
    ...(cachedInputTokens === undefined ? {} : { cachedContentTokenCount: cachedInputTokens }),
    totalTokenCount: inputTokens + outputTokens,
  };
}
