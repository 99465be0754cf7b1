/** What is read of a Messages answer. Tolerant: what isn't known, or isn't as documented, is ignored. */
import { z } from 'zod';

const text = z.string().nullish().catch(null);
const count = z.number().int().nonnegative().nullish().catch(null);

/** Each count is the sum so far. */
export const usageSchema = z.object({
  /** Without those of the cache. */
  input_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  /** How long the ones written are kept: five minutes the others. */
  cache_creation: z.object({ ephemeral_1h_input_tokens: count }).nullish().catch(null),
  output_tokens: count,
  output_tokens_details: z.object({ thinking_tokens: count }).nullish().catch(null),
});
export type WireUsage = z.output<typeof usageSchema>;

/** A block of the answer: as it begins in a stream, or whole. */
export const blockSchema = z.object({
  type: text,
  text,
  thinking: text,
  signature: text,
  /** Of redacted thinking. */
  data: text,
  id: text,
  name: text,
  input: z.unknown().optional(),
});
export type Block = z.output<typeof blockSchema>;

const usage = usageSchema.nullish().catch(null);
const endSchema = z.object({
  stop_reason: text,
  stop_details: z.object({ explanation: text }).nullish().catch(null),
});
export type End = z.output<typeof endSchema>;

export const messageSchema = endSchema.extend({
  id: text,
  model: text,
  content: z.array(blockSchema).nullish().catch(null),
  usage,
});

export const eventSchema = z.object({
  type: z.string(),
  index: count,
  message: messageSchema.nullish().catch(null),
  content_block: blockSchema.nullish().catch(null),
  delta: endSchema
    .extend({ type: text, text, thinking: text, signature: text, partial_json: text })
    .nullish()
    .catch(null),
  usage,
});
export type WireEvent = z.output<typeof eventSchema>;

export const modelListSchema = z.object({ data: z.array(z.object({ id: z.string() })) });
