/** The parts of a Responses answer that the gateway reads. */
import { z } from 'zod';
import { count, text } from '../tolerant.ts';

const parts = z
  .array(z.looseObject({ type: text, text, refusal: text }))
  .nullish()
  .catch(null);

/** A message, reasoning or a tool call. `input` is the text that a custom tool gets. */
const itemSchema = z.object({
  type: text,
  id: text,
  call_id: text,
  name: text,
  arguments: text,
  input: text,
  content: parts,
  summary: parts,
  encrypted_content: text,
});
export type Item = z.output<typeof itemSchema>;
export type ItemPart = NonNullable<Item['content']>[number];

const usageSchema = z.object({
  input_tokens: count,
  input_tokens_details: z.object({ cached_tokens: count }).nullish().catch(null),
  output_tokens: count,
  output_tokens_details: z.object({ reasoning_tokens: count }).nullish().catch(null),
});

export const responseSchema = z.object({
  id: text,
  model: text,
  status: text,
  output: z.array(itemSchema).nullish().catch(null),
  incomplete_details: z.object({ reason: text }).nullish().catch(null),
  usage: usageSchema.nullish().catch(null),
  error: z.unknown().optional(),
});
export type ResponseObject = z.output<typeof responseSchema>;

export const eventSchema = z.object({
  type: z.string(),
  output_index: count,
  item_id: text,
  content_index: count,
  summary_index: count,
  delta: text,
  text,
  refusal: text,
  arguments: text,
  input: text,
  item: itemSchema.nullish().catch(null),
  response: responseSchema.nullish().catch(null),
});
export type ResponsesEvent = z.output<typeof eventSchema>;
