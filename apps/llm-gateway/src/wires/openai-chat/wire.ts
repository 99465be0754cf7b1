import { anyId } from '../acceptable-history.ts';
import type { ServedWire } from '../../transport/wire.ts';
import { isOpenAiModel } from '../../provider/openai-models.ts';
import { besideAnswers } from './adapt-request.ts';
import { passedOn, requestBody } from './request.ts';
import type { Dialect } from './request.ts';
import { ChatAnswerReader } from './response.ts';
import { listedIds } from '../tolerant.ts';

const shortIds = { pattern: /^.{0,40}$/s, characters: 40 };

/**
 * Requirements of OpenAI's models. They apply to any server, since an unknown server may forward requests to OpenAI.
 */
const openAisLimit = { isKnown: true, limitField: 'max_completion_tokens', callIds: shortIds } as const;
const openAis = { ...openAisLimit, refusedInAnswers: besideAnswers };

function withModel(dialect: Dialect, model: string): Dialect {
  if (isOpenAiModel(model)) return { ...dialect, ...openAis };
  // OpenRouter names OpenAI's models `openai/…`. Its clients may send back the extra fields of its answers.
  return isOpenAiModel(model.replace(/^openai\//, '')) ? { ...dialect, ...openAisLimit } : dialect;
}

const speaking = (dialect: Dialect): ServedWire => ({
  name: 'openai-chat',
  framing: 'server-sent-events',
  path: () => 'chat/completions',
  headers: (original) => original?.headers ?? {},
  keyHeaders: (key) => ({ authorization: `Bearer ${key}` }),
  body: (request, stream) => requestBody(request, stream, withModel(dialect, request.model)),
  passOn: (original, model, stream) => passedOn(original, model, stream, withModel(dialect, model)),
  reader: (about) => new ChatAnswerReader(about),
  models: {
    path: 'models',
    names: listedIds,
  },
});

const usual: Dialect = {
  isKnown: false,
  limitField: 'max_tokens',
  givesThoughtsBack: false,
  requestsUsage: true,
  seedField: 'seed',
  refusedInAnswers: [],
  callIds: anyId,
};

/**
 * OpenAI's Chat Completions API, for servers that aren't in `known`, such as OpenRouter, Ollama, LM Studio, vLLM and
 * llama.cpp.
 */
export const openAiChat: ServedWire = speaking(usual);

const ofKnown: Dialect = { ...usual, isKnown: true };

const known: readonly { host: RegExp; wire: ServedWire }[] = [
  {
    // Azure's Foundry host isn't listed, since it serves models of many vendors. There the model's name decides.
    host: /(^|\.)(openai\.com|(openai|cognitiveservices)\.azure\.com)$/,
    wire: speaking({ ...usual, ...openAis }),
  },
  {
    host: /(^|\.)(deepseek\.com|moonshot\.(ai|cn))$/,
    wire: speaking({ ...ofKnown, givesThoughtsBack: true }),
  },
  {
    host: /(^|\.)(groq\.com|cerebras\.ai)$/,
    // These servers send thinking as `reasoning`, and accept this field in the conversation.
    wire: speaking({
      ...ofKnown,
      refusedInAnswers: besideAnswers.filter((field) => field !== 'reasoning'),
      callIds: shortIds,
    }),
  },
  {
    host: /(^|\.)mistral\.ai$/,
    wire: speaking({
      ...ofKnown,
      requestsUsage: false,
      seedField: 'random_seed',
      refusedInAnswers: besideAnswers,
      callIds: { pattern: /^[a-zA-Z0-9]{9}$/, characters: 9 },
    }),
  },
];

/**
 * Returns the variant of the wire format for the server at this address. An unknown server gets the variant that most
 * servers accept.
 */
export const openAiChatAt = (baseUrl: string): ServedWire =>
  known.find(({ host }) => host.test(new URL(baseUrl).hostname))?.wire ?? openAiChat;
