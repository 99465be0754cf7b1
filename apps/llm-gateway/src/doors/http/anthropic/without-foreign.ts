import { unpack } from '../foreign-signature.ts';
import type { Block, Message, MessagesRequest } from './schemas.ts';

/** The request without what other providers thought in this conversation, which Anthropic refuses, and else as it came. */
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
  // An answer that says nothing is refused, too.
  return own.length === 0 ? [] : [{ ...message, content: own }];
}

/** An empty text is what is left here of one that only carried a signature. */
function isForeign({ type, signature, data, text }: Block): boolean {
  if (type === 'text') return text === '';
  const signed = type === 'thinking' ? signature : type === 'redacted_thinking' ? data : null;
  return typeof signed === 'string' && unpack(signed) !== null;
}
