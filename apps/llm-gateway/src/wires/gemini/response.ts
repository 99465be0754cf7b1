import type { Signature } from '@coppice/contracts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import { ReaderBase } from '../reader-base.ts';
import { calledAs, knownUsage } from '../values.ts';
import { chunkSchema } from './schemas.ts';
import type { AnswerPart, Chunk, UsageMetadata } from './schemas.ts';

/**
 * Finish reasons by Google's name. Any other name becomes `other`. For an answer with tool calls, Google also sends
 * `STOP`.
 */
const finishReasons: Readonly<Record<string, FinishReason>> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'refusal',
  RECITATION: 'refusal',
  BLOCKLIST: 'refusal',
  PROHIBITED_CONTENT: 'refusal',
  SPII: 'refusal',
  IMAGE_SAFETY: 'refusal',
  IMAGE_PROHIBITED_CONTENT: 'refusal',
  IMAGE_RECITATION: 'refusal',
  MODEL_ARMOR: 'refusal',
};

/** Reads an answer. Each event has the form of an answer with only the new parts. The stream has no final event. */
export class GeminiReader extends ReaderBase implements AnswerReader {
  readonly ended = false;
  #calls = 0;
  #blocks = 0;
  /** Media type of the content that no delta can represent; null if there was none. */
  #lost: string | null = null;
  /**
   * True if the next thinking part belongs to the current block. A block consists of adjacent thinking parts, and ends
   * after a part with a signature.
   */
  #isThinking = false;
  #finish: { reason: FinishReason; vendorReason: string } | null = null;

  get finished(): boolean {
    return this.#finish !== null;
  }

  event({ name, data }: StreamEvent): ModelDelta[] {
    const body = jsonOf(data);
    if (name === 'error') throw this.fail(body ?? data);
    return this.whole(body);
  }

  /**
   * Maps an unstreamed answer, which has the form of one event. Without server-sent events, a server streams an answer
   * as one list of such events.
   */
  whole(body: unknown): ModelDelta[] {
    if (Array.isArray(body)) return body.flatMap((each) => this.whole(each));
    const parsed = chunkSchema.safeParse(body);
    if (!parsed.success) throw this.notOfThisWire("no part of Gemini's answer");
    const { error } = parsed.data;
    if (error !== undefined && error !== null) throw this.fail({ error });
    return this.#map(parsed.data);
  }

  end(): ModelDelta[] {
    if (this.#finish === null) return [];
    const { reason, vendorReason } = this.#finish;
    const finishReason = reason === 'stop' && this.#calls > 0 ? 'tool-calls' : reason;
    const lost = this.#lost === null ? {} : { lost: this.#lost };
    return [{ type: 'response-end', finishReason, providerFinishReason: vendorReason, ...lost }];
  }

  #map(chunk: Chunk): ModelDelta[] {
    const { modelVersion, responseId, usageMetadata } = chunk;
    const deltas = this.start(modelVersion, responseId);
    for (const candidate of chunk.candidates ?? []) {
      // The gateway requests only one candidate.
      if ((candidate.index ?? 0) !== 0) continue;
      deltas.push(...(candidate.content?.parts ?? []).flatMap((part) => this.#mapPart(part)));
      const vendorReason = candidate.finishReason;
      if (vendorReason) this.#finish = { reason: finishReasons[vendorReason] ?? 'other', vendorReason };
    }
    // If Google blocked the prompt, the answer has no candidate.
    const blocked = chunk.promptFeedback?.blockReason;
    if (blocked) this.#finish = { reason: 'refusal', vendorReason: blocked };
    const usage = usageMetadata ? usageOf(usageMetadata) : null;
    if (usage !== null) deltas.push({ type: 'usage', usage });
    return deltas;
  }

  #mapPart({ text, thought, thoughtSignature, functionCall, inlineData }: AnswerPart): ModelDelta[] {
    const signature: { signature?: Signature } = thoughtSignature
      ? { signature: { wire: 'gemini', value: thoughtSignature } }
      : {};
    if (thought === true && !functionCall) return this.#think(text ?? '', signature);
    this.#isThinking = false;
    if (inlineData) this.#lost = inlineData.mimeType ?? 'a file';
    if (functionCall) {
      const { id, name, args } = functionCall;
      const written = JSON.stringify(args ?? {});
      return [
        { type: 'tool-call-delta', call: this.#calls++, ...calledAs(id, name), arguments: written, ...signature },
      ];
    }
    // The signature of a text may arrive in a part without text.
    if (!text && signature.signature === undefined) return [];
    return [{ type: 'text-delta', text: text ?? '', ...signature }];
  }

  #think(text: string, signature: { signature?: Signature }): ModelDelta[] {
    if (!this.#isThinking) this.#blocks++;
    this.#isThinking = signature.signature === undefined;
    return [{ type: 'thinking-delta', block: this.#blocks - 1, text, ...signature }];
  }
}

/** The counts are totals so far. The candidates' tokens exclude thinking. The prompt's tokens include cached tokens. */
function usageOf(metadata: UsageMetadata): UsageSoFar | null {
  const { promptTokenCount: prompt, candidatesTokenCount: candidates, thoughtsTokenCount: thoughts } = metadata;
  const of = (details: UsageMetadata['promptTokensDetails'], modality: string) =>
    details?.find((each) => each.modality === modality)?.tokenCount;
  return knownUsage({
    inputTokens: typeof prompt === 'number' ? prompt + (metadata.toolUsePromptTokenCount ?? 0) : null,
    outputTokens: typeof (candidates ?? thoughts) === 'number' ? (candidates ?? 0) + (thoughts ?? 0) : null,
    cachedInputTokens: metadata.cachedContentTokenCount,
    reasoningTokens: thoughts,
    audioInputTokens: of(metadata.promptTokensDetails, 'AUDIO'),
    cachedAudioInputTokens: of(metadata.cacheTokensDetails, 'AUDIO'),
    imageOutputTokens: of(metadata.candidatesTokensDetails, 'IMAGE'),
  });
}
