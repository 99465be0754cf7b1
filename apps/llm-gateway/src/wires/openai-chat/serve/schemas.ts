/**
 * The fields of a Chat Completions request that the gateway reads. Only a provider of the same wire format gets the
 * other fields.
 */
import { z } from 'zod';
import { answerLimits } from '../../../ingress/http/answer-limits.ts';

const text = z.string().nullish();

const toolCallSchema = z.looseObject({
  id: z.string().default(''),
  function: z.looseObject({ name: z.string(), arguments: z.string().default('') }).optional(),
  /** Field for signatures in Google's OpenAI-compatible API. */
  extra_content: z
    .looseObject({ google: z.looseObject({ thought_signature: text }).nullish() })
    .nullish()
    .catch(null),
});
export type ToolCall = z.output<typeof toolCallSchema>;

export const contentSchema = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish();
export type Content = z.output<typeof contentSchema>;

export const messageSchema = z.looseObject({
  role: z.string(),
  content: contentSchema,
  refusal: text,
  reasoning_content: text,
  tool_calls: z.array(toolCallSchema).nullish(),
  tool_call_id: text,
});
export type Message = z.output<typeof messageSchema>;

const toolSchema = z.looseObject({
  type: z.string(),
  function: z
    .looseObject({
      name: z.string(),
      description: text,
      parameters: z.record(z.string(), z.unknown()).nullish(),
      strict: z.boolean().nullish(),
    })
    .optional(),
});

const formatSchema = z.looseObject({
  type: z.string(),
  json_schema: z
    .looseObject({
      name: z.string(),
      description: text,
      schema: z.record(z.string(), z.unknown()).nullish(),
      strict: z.boolean().nullish(),
    })
    .optional(),
});

export const chatRequestSchema = z.looseObject({
  model: z.string().min(1),
  messages: z.array(messageSchema).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: formatSchema.nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  reasoning_effort: z.string().nullish(),
  modalities: z.array(z.string()).nullish(),
  ...answerLimits,
});
export type ChatRequest = z.output<typeof chatRequestSchema>;
