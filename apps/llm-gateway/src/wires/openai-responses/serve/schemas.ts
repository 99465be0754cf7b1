/**
 * The fields of a Responses request that the gateway reads. Only a provider of the same wire format gets the other
 * fields.
 */
import { z } from 'zod';
import { answerLimits } from '../../../ingress/http/answer-limits.ts';

const text = z.string().nullish();

/**
 * The item mapper validates items later. Items that only OpenAI knows may have any form, since OpenAI validates them.
 */
const itemSchema = z.looseObject({ type: text, role: text });
export type Item = z.output<typeof itemSchema>;

const toolSchema = z.looseObject({
  type: z.string(),
  name: text,
  description: text,
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});

const formatSchema = z.looseObject({
  type: z.string(),
  name: text,
  description: text,
  schema: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});

export const responsesRequestSchema = z.looseObject({
  model: z.string().min(1),
  /** Missing if the request references data that the vendor stores. */
  input: z.union([z.string(), z.array(itemSchema)]).nullish(),
  instructions: text,
  stream: z.boolean().nullish(),
  store: z.boolean().nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string(), name: text })]).nullish(),
  include: z.array(z.string()).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.looseObject({ format: formatSchema.nullish() }).nullish(),
  reasoning: z.looseObject({ effort: text }).nullish(),
  /** Background answers aren't allowed. They arrive after the call has ended, so the gateway couldn't charge them. */
  background: z.literal(false).nullish(),
  ...answerLimits,
  max_output_tokens: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
});
export type ResponsesRequest = z.output<typeof responsesRequestSchema>;
