import type { Wire } from '../http/wire.ts';
import { passedOn, requestBody } from './request.ts';
import { ChatAnswerReader } from './response.ts';
import { modelListSchema } from './schemas.ts';

/** OpenAI's Chat Completions: OpenAI, OpenRouter, and the compatible doors of Ollama, LM Studio, vLLM, llama.cpp. */
export const openAiChat: Wire = {
  name: 'openai-chat',
  framing: 'server-sent-events',
  path: () => 'chat/completions',
  headers: (original) => original?.headers ?? {},
  keyHeaders: (key) => ({ authorization: `Bearer ${key}` }),
  body: requestBody,
  passOn: passedOn,
  reader: (about) => new ChatAnswerReader(about),
  models: {
    path: 'models',
    names: (body) => modelListSchema.safeParse(body).data?.data.map(({ id }) => id) ?? null,
  },
};
