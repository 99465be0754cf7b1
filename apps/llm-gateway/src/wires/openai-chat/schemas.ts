/** The parts of a Chat Completions answer that the gateway reads. */
import { z } from 'zod';
import { count, text } from '../tolerant.ts';

/** A piece of a tool call. The documentation has `arguments` as a string, but some servers send an object. */
const toolCallSchema = z.object({
  index: count,
  id: text,
  function: z.object({ name: text, arguments: z.unknown().optional() }).nullish().catch(null),
});

const contentSchema = z.union([z.string(), z.array(z.looseObject({ type: text, text }))]).nullish();

const messageSchema = z.object({
  content: contentSchema.catch(null),
  refusal: text,
  /** Thinking. DeepSeek, vLLM and llama.cpp use `reasoning_content`. OpenRouter uses `reasoning`. */
  reasoning_content: text,
  reasoning: text,
  tool_calls: z.array(toolCallSchema).nullish().catch(null),
});

const usageSchema = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count, audio_tokens: count }).nullish().catch(null),
  completion_tokens_details: z.object({ reasoning_tokens: count, audio_tokens: count }).nullish().catch(null),
  /** Cost in US dollars, which OpenRouter sends. */
  cost: z.number().nonnegative().nullish().catch(null),
});

export const chunkSchema = z.object({
  id: text,
  model: text,
  choices: z
    .array(
      z.object({
        index: count,
        delta: messageSchema.nullish(),
        /** Present only in an unstreamed answer. */
        message: messageSchema.nullish(),
        finish_reason: text,
        error: z.unknown().optional(),
      }),
    )
    .nullish(),
  usage: usageSchema.nullish().catch(null),
  error: z.unknown().optional(),
});
export type Chunk = z.output<typeof chunkSchema>;
export type ChunkMessage = z.output<typeof messageSchema>;
