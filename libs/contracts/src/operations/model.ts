import { z } from 'zod';
import { usageSchema } from '../views.ts';
import { operation, ownerSchema, textReferenceSchema } from './operation.ts';

/** Parts of a message. Tool calls, tool results and thinking join this union with the loop agent. */
export const contentPartSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string() }),
  /** A large text, by its name in `coppice-artifacts`; the gateway reads it before it asks the provider. */
  z.object({ type: z.literal('text-artifact'), artifact: z.string() }),
]);
export type ContentPart = z.infer<typeof contentPartSchema>;

export const modelMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.array(contentPartSchema),
});
export type ModelMessage = z.infer<typeof modelMessageSchema>;

export const finishReasonSchema = z.enum(['stop', 'length', 'tool-calls', 'refusal', 'other']);

export const turnInputSchema = z.object({
  owner: ownerSchema,
  /** `provider/model`. */
  model: z.string(),
  messages: z.array(modelMessageSchema),
  timeLimitMs: z.int().positive(),
});
export const turnOutputSchema = z.object({
  text: textReferenceSchema,
  finishReason: finishReasonSchema,
  usage: usageSchema,
  /** As the provider names it. */
  responseModel: z.string(),
  latencyMs: z.int().nonnegative(),
});
export type TurnOutput = z.infer<typeof turnOutputSchema>;

export const modelOperations = {
  /** One model turn. Its transcript entry is stored before its claim is done, so that a finished turn is never paid twice. */
  turn: operation({
    service: 'llm-gateway',
    name: 'turn',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 60 * 60_000,
    input: turnInputSchema,
    output: turnOutputSchema,
  }),
} as const;

/** An entry of the transcript, `coppice.transcript.<tenant>.<taskId>`; its message id is the effect's, so that it is there once. */
export const transcriptEntrySchema = z.object({
  effectId: z.string(),
  owner: ownerSchema,
  model: z.string(),
  /** By reference where they are large. */
  request: textReferenceSchema,
  output: turnOutputSchema,
  /** RFC 3339. */
  time: z.string(),
});
export type TranscriptEntry = z.infer<typeof transcriptEntrySchema>;
