/** The parts of Ollama's answer that the gateway reads. */
import { z } from 'zod';
import { count, text } from '../tolerant.ts';

/** A complete tool call. Only newer servers send an id. */
const toolCallSchema = z.object({
  id: text,
  function: z.object({ name: text, arguments: z.unknown().optional() }).nullish().catch(null),
});
export type WireToolCall = z.output<typeof toolCallSchema>;

/** A line of a stream, or an unstreamed answer. */
export const lineSchema = z.object({
  model: text,
  message: z
    .object({ content: text, thinking: text, tool_calls: z.array(toolCallSchema).nullish().catch(null) })
    .nullish()
    .catch(null),
  done: z.boolean(),
  done_reason: text,
  /** Missing if the server had cached the whole prompt. Older servers may also omit it. */
  prompt_eval_count: count,
  eval_count: count,
});
export type Line = z.output<typeof lineSchema>;

export const modelListSchema = z.object({ models: z.array(z.object({ name: z.string() })) });
