/** What is read of an answer of Ollama's. Tolerant: what isn't known, or isn't as documented, is ignored. */
import { z } from 'zod';

const text = z.string().nullish().catch(null);
const count = z.number().int().nonnegative().nullish().catch(null);

/** A call comes whole; its id is there from newer servers alone. */
const toolCallSchema = z.object({
  id: text,
  function: z.object({ name: text, arguments: z.unknown().optional() }).nullish().catch(null),
});
export type WireToolCall = z.output<typeof toolCallSchema>;

/** A line of a stream, and an answer that came as a whole. */
export const lineSchema = z.object({
  model: text,
  message: z
    .object({ content: text, thinking: text, tool_calls: z.array(toolCallSchema).nullish().catch(null) })
    .nullish()
    .catch(null),
  done: z.boolean(),
  done_reason: text,
  /** Missing where all of the prompt was in the server's cache, and on some lines of older servers. */
  prompt_eval_count: count,
  eval_count: count,
});
export type Line = z.output<typeof lineSchema>;

export const modelListSchema = z.object({ models: z.array(z.object({ name: z.string() })) });
