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
  body: (request, stream) => requestBody(request, stream, 'max_tokens'),
  passOn: passedOn,
  reader: (about) => new ChatAnswerReader(about),
  models: {
    path: 'models',
    names: (body) => modelListSchema.safeParse(body).data?.data.map(({ id }) => id) ?? null,
  },
};

/** The same as OpenAI itself takes it. */
const openAiOwnChat: Wire = {
  ...openAiChat,
  body: (request, stream) => requestBody(request, stream, 'max_completion_tokens'),
};

/** By whose address it is: OpenAI's own, there or at Azure, or that of a compatible server. */
export const openAiChatAt = (baseUrl: string): Wire =>
  /(^|\.)openai\.(com|azure\.com)$/.test(new URL(baseUrl).hostname) ? openAiOwnChat : openAiChat;
