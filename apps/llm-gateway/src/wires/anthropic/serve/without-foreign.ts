import { unpack } from '../../../ingress/http/foreign-signature.ts';
import type { Block, Message, MessagesRequest } from './schemas.ts';

/** Removes thinking of other providers, which Anthropic rejects. */
export function withoutForeign(request: MessagesRequest): { body: MessagesRequest; foreignTaken: boolean } {
  const messages = request.messages.flatMap(ownPart);
  const foreignTaken = request.messages.some((message, index) => message !== messages[index]);
  return { body: { ...request, messages }, foreignTaken };
}

function ownPart(message: Message): Message[] {
  const { role, content } = message;
  if (role !== 'assistant' || typeof content === 'string') return [message];
  const own = content.filter((block) => !isForeign(block));
  if (own.length === content.length) return [message];
  // Anthropic rejects an answer without content.
  return own.length === 0 ? [] : [{ ...message, content: own }];
}

/**
 * Returns true for a block of another provider. An empty text block is one, too, since it existed only to carry a
 * signature.
 */
function isForeign({ type, signature, data, text }: Block): boolean {
  if (type === 'text') return text === '';
  const signed = type === 'thinking' ? signature : type === 'redacted_thinking' ? data : null;
  return typeof signed === 'string' && unpack(signed) !== null;
}
