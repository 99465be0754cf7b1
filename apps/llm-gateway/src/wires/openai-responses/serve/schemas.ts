/**
 * The fields of a Responses request that the gateway reads. Other fields are passed on to a provider of the same wire format, and ignored for other providers.
 */
import { z } from 'zod';
import { answerLimits } from '../../../ingress/http/answer-limits.ts';

const text = z.string().nullish();

/** Items and their parts are validated later, one by one, since OpenAI itself validates those that exist in no other wire format. */
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
  /** May be missing if the request references data that the vendor stores. */
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
  /** Background answers aren't allowed, since they arrive after the call and couldn't be charged. */
  background: z.literal(false).nullish(),
  ...answerLimits,
  max_output_tokens: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
});
export type ResponsesRequest = z.output<typeof responsesRequestSchema>;
