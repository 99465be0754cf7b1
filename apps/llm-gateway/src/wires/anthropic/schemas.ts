/** The parts of a Messages answer that the gateway reads. */
import { z } from 'zod';
import { count, text } from '../tolerant.ts';

/** Usage so far. Each count is a total. */
export const usageSchema = z.object({
  /** Excludes tokens read from and written to the cache. */
  input_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  /** Tokens written to the cache for one hour. The other written tokens are cached for five minutes. */
  cache_creation: z.object({ ephemeral_1h_input_tokens: count }).nullish().catch(null),
  output_tokens: count,
  output_tokens_details: z.object({ thinking_tokens: count }).nullish().catch(null),
});
export type WireUsage = z.output<typeof usageSchema>;

/** A block, or in a stream its beginning. */
export const blockSchema = z.object({
  type: text,
  text,
  thinking: text,
  signature: text,
  /** Content of redacted thinking. */
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
