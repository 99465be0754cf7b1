import type { Signature } from '@coppice/contracts';
import type { StreamEvent } from '../../transport/event-reader.ts';
import { jsonOf } from '../../transport/json.ts';
import type { AnswerReader } from '../../transport/wire.ts';
import type { FinishReason, ModelDelta, UsageSoFar } from '../../provider/port.ts';
import { ReaderBase } from '../reader-base.ts';
import { calledAs, knownUsage } from '../values.ts';
import { chunkSchema } from './schemas.ts';
import type { AnswerPart, Chunk, UsageMetadata } from './schemas.ts';

/** `STOP` also comes with tool calls. Any reason not listed is `other`, including a call that Google couldn't parse. */
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

/** Reads an answer. Each event has the form of an answer and holds only what is new. The stream has no final event. */
export class GeminiReader extends ReaderBase implements AnswerReader {
  readonly ended = false;
  #calls = 0;
  #blocks = 0;
  /** The media type of content that no delta can represent. */
  #lost: string | null = null;
  /** True if the latest part was thinking: adjacent thinking parts form one block, until one is signed. */
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

  /** A whole answer has the form of an event. A server that streams, but not as events, sends a list of them. */
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
      // Only one candidate is requested.
      if ((candidate.index ?? 0) !== 0) continue;
      deltas.push(...(candidate.content?.parts ?? []).flatMap((part) => this.#mapPart(part)));
      const vendorReason = candidate.finishReason;
      if (vendorReason) this.#finish = { reason: finishReasons[vendorReason] ?? 'other', vendorReason };
    }
    // A blocked prompt gets no candidate.
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
    // A text's signature may come in a part of its own, without text.
    if (!text && signature.signature === undefined) return [];
    return [{ type: 'text-delta', text: text ?? '', ...signature }];
  }

  #think(text: string, signature: { signature?: Signature }): ModelDelta[] {
    if (!this.#isThinking) this.#blocks++;
    this.#isThinking = signature.signature === undefined;
    return [{ type: 'thinking-delta', block: this.#blocks - 1, text, ...signature }];
  }
}

/** Each event holds the totals so far. The candidates' tokens exclude thinking; the prompt's tokens include cached ones. */
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
