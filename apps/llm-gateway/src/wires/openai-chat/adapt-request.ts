/** Adapts a client's body in this wire format to the server that gets it. */
import { acceptableCallId, anyId } from '../acceptable-history.ts';
import { isNamed } from '../../provider/named-model.ts';
import type { OriginalRequest } from '../../provider/port.ts';
import type { Dialect } from './request.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Fields that servers add to an answer, and that clients send back in the conversation. OpenAI and some other servers
 * reject them as unknown.
 */
export const besideAnswers = ['reasoning_content', 'reasoning', 'reasoning_details', 'extra_content'] as const;

/** The fields that the model rejects are already removed from `body`. */
export function fitted(body: Fields, original: OriginalRequest, model: string, dialect: Dialect): Fields {
  // If the client itself named this model, it wrote the settings for it, so they stay unchanged. The messages are
  // adapted even then, since earlier answers may come from another server.
  const settings = isNamed(model, original) || !dialect.isKnown ? body : renamed(body, dialect);
  const { messages } = body;
  const { refusedInAnswers: refused, givesThoughtsBack, callIds } = dialect;
  const takesAll = refused.length === 0 && !givesThoughtsBack && callIds === anyId;
  if (!Array.isArray(messages) || takesAll) return settings;
  return { ...settings, messages: messages.map((message: Fields) => fittedMessage(message, refused, dialect)) };
}

function renamed(body: Fields, { limitField, seedField }: Dialect): Fields {
  const { max_tokens: older, max_completion_tokens: newer, seed, random_seed: mistrals, ...rest } = body;
  const limit = (limitField === 'max_tokens' ? (older ?? newer) : (newer ?? older)) ?? null;
  const seedValue = seed ?? mistrals ?? null;
  return {
    ...rest,
    ...(limit === null ? {} : { [limitField]: limit }),
    ...(seedValue === null ? {} : { [seedField]: seedValue }),
  };
}

function fittedMessage(message: Fields, refused: readonly string[], dialect: Dialect): Fields {
  const { givesThoughtsBack, callIds } = dialect;
  const { tool_calls: calls, tool_call_id: callId } = message;
  const isCalling = Array.isArray(calls) && calls.length > 0;
  const without = (fields: Fields): Fields =>
    Object.fromEntries(Object.entries(fields).filter(([name]) => !refused.includes(name)));
  return {
    ...without(message),
    ...(isCalling && givesThoughtsBack ? { reasoning_content: message['reasoning_content'] ?? '' } : {}),
    ...(isCalling
      ? {
          tool_calls: calls.map((call: Fields) => ({
            ...without(call),
            id: acceptableCallId(String(call['id']), callIds),
          })),
        }
      : {}),
    ...(typeof callId === 'string' ? { tool_call_id: acceptableCallId(callId, callIds) } : {}),
  };
}
