import type { Wire } from '../http/wire.ts';
import { besideAnswers } from './fitted.ts';
import { passedOn, requestBody } from './request.ts';
import type { Dialect } from './request.ts';
import { ChatAnswerReader } from './response.ts';
import { modelListSchema } from './schemas.ts';

const speaking = (dialect: Dialect): Wire => ({
  name: 'openai-chat',
  framing: 'server-sent-events',
  path: () => 'chat/completions',
  headers: (original) => original?.headers ?? {},
  keyHeaders: (key) => ({ authorization: `Bearer ${key}` }),
  body: (request, stream) => requestBody(request, stream, dialect),
  passOn: (original, model, stream) => passedOn(original, model, stream, dialect),
  reader: (about) => new ChatAnswerReader(about),
  models: {
    path: 'models',
    names: (body) => modelListSchema.safeParse(body).data?.data.map(({ id }) => id) ?? null,
  },
});

const usual: Dialect = {
  limitField: 'max_tokens',
  givesThoughtsBack: false,
  asksForUsage: true,
  seedField: 'seed',
  refusedInAnswers: [],
  // OpenAI refuses longer ones.
  callIds: { pattern: /^.{0,40}$/s, characters: 40 },
};

/** OpenAI's Chat Completions: OpenAI, OpenRouter, and the compatible doors of Ollama, LM Studio, vLLM, llama.cpp. */
export const openAiChat: Wire = speaking(usual);

const known: readonly { host: RegExp; wire: Wire }[] = [
  {
    host: /(^|\.)openai\.(com|azure\.com)$/,
    wire: speaking({ ...usual, limitField: 'max_completion_tokens', refusedInAnswers: besideAnswers }),
  },
  {
    host: /(^|\.)(deepseek\.com|moonshot\.(ai|cn))$/,
    wire: speaking({ ...usual, givesThoughtsBack: true }),
  },
  {
    host: /(^|\.)(groq\.com|cerebras\.ai)$/,
    // They tell what was thought as `reasoning`, and take that back.
    wire: speaking({ ...usual, refusedInAnswers: besideAnswers.filter((field) => field !== 'reasoning') }),
  },
  {
    host: /(^|\.)mistral\.ai$/,
    wire: speaking({
      ...usual,
      asksForUsage: false,
      seedField: 'random_seed',
      refusedInAnswers: besideAnswers,
      callIds: { pattern: /^[a-zA-Z0-9]{9}$/, characters: 9 },
    }),
  },
];

/** As the server at this address takes it; those that aren't known get what most take. */
export const openAiChatAt = (baseUrl: string): Wire =>
  known.find(({ host }) => host.test(new URL(baseUrl).hostname))?.wire ?? openAiChat;
