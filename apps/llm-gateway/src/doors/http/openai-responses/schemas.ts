/** What is read of a Responses request. What isn't named here is passed on to a provider of the same wire, and plays no part elsewhere. */
import { z } from 'zod';
import { answerLimits } from '../answer-limits.ts';

const text = z.string().nullish();

/** Items and their parts are read one by one: those that no other wire knows are left to OpenAI. */
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
  /** May be missing beside what the vendor keeps. */
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
  /** What is answered later can't be charged. */
  background: z.literal(false).nullish(),
  ...answerLimits,
  max_output_tokens: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
});
export type ResponsesRequest = z.output<typeof responsesRequestSchema>;
