/**
 * The fields of a Messages request that the gateway reads. Only a provider of the same wire format gets the other
 * fields.
 */
import { z } from 'zod';

/**
 * The block mapper validates blocks later. Blocks that only Anthropic knows may have any form, since Anthropic
 * validates them.
 */
const blockSchema = z.looseObject({ type: z.string() });
export type Block = z.output<typeof blockSchema>;

export const contentSchema = z.union([z.string(), z.array(blockSchema)]);
export type Content = z.output<typeof contentSchema>;

const messageSchema = z.looseObject({ role: z.string(), content: contentSchema });
export type Message = z.output<typeof messageSchema>;

const toolSchema = z.looseObject({
  type: z.string().nullish(),
  /** Missing if the entry stands for several tools. */
  name: z.string().optional(),
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()).optional(),
});

export const messagesRequestSchema = z.looseObject({
  model: z.string().min(1),
  max_tokens: z.int().nonnegative(),
  messages: z.array(messageSchema).min(1),
  system: contentSchema.nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z
    .looseObject({
      type: z.string(),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().nullish(),
    })
    .nullish(),
  thinking: z.looseObject({ type: z.string(), budget_tokens: z.int().nonnegative().optional() }).nullish(),
  temperature: z.number().min(0).max(1).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().nonnegative().nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  output_config: z
    .looseObject({ effort: z.string().nullish(), format: z.looseObject({ type: z.string() }).nullish() })
    .nullish(),
});
export type MessagesRequest = z.output<typeof messagesRequestSchema>;
