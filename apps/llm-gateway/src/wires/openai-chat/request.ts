import { openAiEffort } from '../../provider/effort.ts';
import { acceptableCallId, acceptableName, argumentsText } from '../acceptable-history.ts';
import type { CallIds } from '../acceptable-history.ts';
import { bodyFor, withoutRefused } from '../../provider/openai-models.ts';
import type {
  ModelRequest,
  OriginalRequest,
  ProviderImage,
  ProviderMessage,
  ProviderPart,
} from '../../provider/port.ts';
import { formatFields, toolSettings } from '../openai-settings.ts';
import { answerText, imageUrl, resultText, textsApart } from '../texts.ts';
import { fitted } from './adapt-request.ts';

type WirePart = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } };
type WireMessage =
  | { role: 'system' | 'user'; content: string | WirePart[] }
  | { role: 'assistant'; content: string | null; tool_calls?: WireToolCall[]; reasoning_content?: string }
  | { role: 'tool'; tool_call_id: string; content: string };
type WireToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } };

/** The differences between servers of this wire format. A server may reject what another server requires. */
export type Dialect = {
  /**
   * True if the server's names for the limit and the seed are known. Then these fields of a client are renamed.
   * Otherwise they stay unchanged, since the client's names may be correct.
   */
  isKnown: boolean;
  /** OpenAI's newer models reject `max_tokens`, and not all compatible servers know `max_completion_tokens`. */
  limitField: 'max_tokens' | 'max_completion_tokens';
  /**
   * True if a message with tool calls must contain the thinking before them, even if it is empty. DeepSeek and Moonshot
   * reject calls without the field for thinking. OpenAI rejects calls with it.
   */
  givesThoughtsBack: boolean;
  /** True if usage must be requested. Mistral rejects the request for usage, and always sends usage. */
  requestsUsage: boolean;
  seedField: 'seed' | 'random_seed';
  /**
   * Fields that this server rejects in answers of the conversation. Other servers add them, and clients send them back.
   */
  refusedInAnswers: readonly string[];
  callIds: CallIds;
};

/**
 * Maps a request to the body of `POST /chat/completions`. The format has no field for `topK`. A thinking budget becomes
 * a level.
 */
export function requestBody(request: ModelRequest, stream: boolean, dialect: Dialect): object {
  const tools = request.tools.map((tool) => ({ type: 'function', function: tool }));
  return {
    model: request.model,
    messages: request.messages.flatMap((message) => toWire(message, dialect)),
    ...(stream ? streaming(dialect) : {}),
    // Some servers reject an empty list of tools.
    ...(tools.length === 0 ? {} : { tools, ...toolSettings(request.settings, namedFunction) }),
    ...settingsOf(request, dialect),
  };
}

const streaming = ({ requestsUsage }: Dialect, options: object = {}): object => ({
  stream: true,
  ...(requestsUsage ? { stream_options: { ...options, include_usage: true } } : {}),
});

/** Implements `passOn` of the wire format. */
export function passedOn(original: OriginalRequest, model: string, stream: boolean, dialect: Dialect): object {
  const { maxOutputTokens } = original;
  const { limitField } = dialect;
  const body = fitted(bodyFor(model, original), original, model, dialect);
  const limit = maxOutputTokens === undefined ? {} : { [limitField]: maxOutputTokens };
  if (!stream) return { ...body, model, ...limit };
  const { stream_options: options, ...rest } = body;
  return { ...rest, model, ...limit, ...streaming(dialect, options as object | undefined) };
}

function settingsOf({ model, settings }: ModelRequest, { limitField, seedField }: Dialect): object {
  const { maxOutputTokens, temperature, topP, seed, stopSequences, responseFormat, thinking } = settings;
  const effort = openAiEffort(model, thinking);
  return withoutRefused(model, {
    ...(maxOutputTokens === undefined ? {} : { [limitField]: maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(seed === undefined ? {} : { [seedField]: seed }),
    ...(stopSequences === undefined ? {} : { stop: stopSequences }),
    ...(responseFormat === undefined
      ? {}
      : { response_format: formatFields(responseFormat, (schema) => ({ json_schema: schema })) }),
    ...(effort === null ? {} : { reasoning_effort: effort }),
  });
}

const namedFunction = (name: string): object => ({ type: 'function', function: { name } });

function toWire({ role, content }: ProviderMessage, dialect: Dialect): WireMessage[] {
  if (role === 'assistant') return [assistantMessage(content, dialect)];
  const results = content.filter((part) => part.type === 'tool-result').map((part) => toolMessage(part, dialect));
  const parts = content.flatMap(saidParts);
  // A tool message can't contain an image, so images follow in a user message.
  if (parts.some(({ type }) => type === 'image_url')) return [...results, { role: 'user', content: parts }];
  // DeepSeek and other servers accept a list of parts only if it contains images.
  const text = textsApart(content);
  return role === 'tool' || (results.length > 0 && text === '') ? results : [...results, { role, content: text }];
}

function saidParts(part: ProviderPart): WirePart[] {
  if (part.type === 'text') return part.text === '' ? [] : [{ type: 'text', text: part.text }];
  if (part.type === 'image') return [imagePart(part.image)];
  return part.type === 'tool-result' ? (part.images ?? []).map(imagePart) : [];
}

const imagePart = (image: ProviderImage): WirePart => ({ type: 'image_url', image_url: { url: imageUrl(image) } });

function assistantMessage(content: readonly ProviderPart[], { givesThoughtsBack, callIds }: Dialect): WireMessage {
  const text = answerText(content);
  const calls = content
    .filter((part) => part.type === 'tool-call')
    .map((call) => ({
      id: acceptableCallId(call.id, callIds),
      type: 'function' as const,
      function: { name: acceptableName(call.name), arguments: argumentsText(call.arguments) },
    }));
  // An empty answer is sent, too. Without it, two user messages would be adjacent, which some chat templates reject.
  if (calls.length === 0) return { role: 'assistant', content: text };
  const thoughts = content.map((part) => (part.type === 'thinking' ? part.text : '')).join('');
  return {
    role: 'assistant',
    content: text === '' ? null : text,
    tool_calls: calls,
    ...(givesThoughtsBack ? { reasoning_content: thoughts } : {}),
  };
}

const toolMessage = (part: Extract<ProviderPart, { type: 'tool-result' }>, { callIds }: Dialect): WireMessage => ({
  role: 'tool',
  tool_call_id: acceptableCallId(part.callId, callIds),
  content: resultText(part),
});
