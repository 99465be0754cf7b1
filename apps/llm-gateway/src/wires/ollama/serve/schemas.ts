/** The fields of a request of `/api/chat` that the gateway reads. Others are passed on to Ollama, and ignored for other providers. */
import { z } from 'zod';

const text = z.string().nullish();
const object = z.record(z.string(), z.unknown());

const messageSchema = z.looseObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: text,
  thinking: text,
  /** Base64, without a media type. */
  images: z.array(z.string()).nullish(),
  tool_calls: z
    .array(z.looseObject({ id: text, function: z.looseObject({ name: z.string(), arguments: object.nullish() }) }))
    .nullish(),
  tool_name: text,
  tool_call_id: text,
});
export type Message = z.output<typeof messageSchema>;

export const ollamaRequestSchema = z.looseObject({
  model: z.string().min(1),
  messages: z.array(messageSchema).min(1),
  stream: z.boolean().nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.string(),
        function: z.looseObject({ name: z.string(), description: text, parameters: object.nullish() }).optional(),
      }),
    )
    .nullish(),
  format: z.union([z.string(), object]).nullish(),
  think: z.union([z.boolean(), z.string()]).nullish(),
  options: z
    .looseObject({
      num_predict: z.int().nullish(),
      temperature: z.number().nullish(),
      top_p: z.number().min(0).max(1).nullish(),
      top_k: z.int().nonnegative().nullish(),
      seed: z.int().nullish(),
      stop: z.union([z.string(), z.array(z.string())]).nullish(),
    })
    .nullish(),
});
export type OllamaRequest = z.output<typeof ollamaRequestSchema>;
