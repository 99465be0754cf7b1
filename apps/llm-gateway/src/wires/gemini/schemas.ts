/** The parts of Gemini's answer that the gateway reads. */
import { z } from 'zod';
import { count, text } from '../tolerant.ts';

/** `thought` is true if the text is thinking. */
const partSchema = z.looseObject({
  text,
  thought: z.boolean().nullish().catch(null),
  thoughtSignature: text,
  functionCall: z.object({ id: text, name: text, args: z.unknown().optional() }).nullish().catch(null),
  /** Image or audio that the model generated. */
  inlineData: z.looseObject({ mimeType: text }).nullish().catch(null),
});
export type AnswerPart = z.output<typeof partSchema>;

const details = z
  .array(z.object({ modality: text, tokenCount: count }))
  .nullish()
  .catch(null);

const usageSchema = z.object({
  promptTokenCount: count,
  toolUsePromptTokenCount: count,
  candidatesTokenCount: count,
  thoughtsTokenCount: count,
  cachedContentTokenCount: count,
  promptTokensDetails: details,
  cacheTokensDetails: details,
  candidatesTokensDetails: details,
});
export type UsageMetadata = z.output<typeof usageSchema>;

export const chunkSchema = z.looseObject({
  candidates: z
    .array(
      z.object({
        index: count,
        content: z
          .object({ parts: z.array(partSchema).nullish().catch(null) })
          .nullish()
          .catch(null),
        finishReason: text,
      }),
    )
    .nullish(),
  promptFeedback: z.object({ blockReason: text }).nullish().catch(null),
  usageMetadata: usageSchema.nullish().catch(null),
  modelVersion: text,
  responseId: text,
  error: z.unknown().optional(),
});
export type Chunk = z.output<typeof chunkSchema>;

export const modelListSchema = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      supportedGenerationMethods: z.array(z.string()).nullish().catch(null),
    }),
  ),
});
