import { acceptableName, argumentsObject } from '../acceptable-history.ts';
import type { ProviderImage, ProviderMessage, ProviderPart } from '../../provider/port.ts';

type CacheMark = { cache_control?: { type: 'ephemeral' } };
type ImageBlock = {
  type: 'image';
  source: { type: 'base64'; media_type: string; data: string } | { type: 'url'; url: string };
};
export type TextBlock = { type: 'text'; text: string } & CacheMark;
type ContentBlock = (
  | TextBlock
  | ImageBlock
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'redacted_thinking'; data: string }
  | { type: 'tool_use'; id: string; name: string; input: object }
  | { type: 'tool_result'; tool_use_id: string; content?: (TextBlock | ImageBlock)[]; is_error?: true }
) &
  CacheMark;
export type WireMessage = { role: 'user' | 'assistant'; content: ContentBlock[] };

/**
 * Maps the conversation without its system messages, which the format has in a separate field. Adjacent messages of the
 * same role are merged, since the format requires that roles alternate.
 */
export function messagesOf(messages: readonly ProviderMessage[]): WireMessage[] {
  const turns: WireMessage[] = [];
  for (const { role, content } of messages) {
    if (role === 'system') continue;
    const wireRole = role === 'assistant' ? 'assistant' : 'user';
    const blocks = content.flatMap(role === 'assistant' ? answerBlock : saidBlock);
    // The API rejects a message without content.
    if (blocks.length === 0) continue;
    const last = turns.at(-1);
    if (last?.role === wireRole) last.content.push(...blocks);
    else turns.push({ role: wireRole, content: blocks });
  }
  for (const turn of turns) turn.content = resultsFirst(turn.content);
  return turns;
}

/** Returns all system messages of the conversation, wherever they are. */
export const systemOf = (messages: readonly ProviderMessage[]): TextBlock[] =>
  messages.filter(({ role }) => role === 'system').flatMap(({ content }) => content.flatMap(textBlock));

/** Moves the tool results to the beginning, since they must directly follow their calls. */
function resultsFirst(blocks: ContentBlock[]): ContentBlock[] {
  const isResult = ({ type }: ContentBlock) => type === 'tool_result';
  return [...blocks.filter(isResult), ...blocks.filter((block) => !isResult(block))];
}

/** The API rejects a text without visible characters. */
const textBlock = (part: ProviderPart): TextBlock[] =>
  part.type === 'text' && part.text.trim() !== '' ? [{ type: 'text', text: part.text }] : [];

function saidBlock(part: ProviderPart): ContentBlock[] {
  if (part.type === 'image') return [imageBlock(part.image)];
  if (part.type !== 'tool-result') return textBlock(part);
  const { callId, content, images = [], isError } = part;
  const text = content === '' && isError ? 'It failed, and said nothing.' : content;
  const inside = [...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]), ...images.map(imageBlock)];
  return [
    {
      type: 'tool_result',
      tool_use_id: acceptableId(callId),
      ...(inside.length === 0 ? {} : { content: inside }),
      ...(isError ? { is_error: true } : {}),
    },
  ];
}

function answerBlock(part: ProviderPart): ContentBlock[] {
  if (part.type === 'tool-call') {
    const { id, name, arguments: text } = part;
    return [{ type: 'tool_use', id: acceptableId(id), name: acceptableName(name), input: argumentsObject(text) }];
  }
  if (part.type !== 'thinking') return textBlock(part);
  // The API rejects thinking that Anthropic didn't sign.
  const { text, redacted, signature } = part;
  if (signature?.wire !== 'anthropic') return [];
  if (redacted) return [{ type: 'redacted_thinking', data: signature.value }];
  return [{ type: 'thinking', thinking: text, signature: signature.value }];
}

function imageBlock(image: ProviderImage): ImageBlock {
  if ('url' in image) return { type: 'image', source: { type: 'url', url: image.url } };
  return { type: 'image', source: { type: 'base64', media_type: image.mediaType, data: image.base64 } };
}

/** Replaces characters that the API rejects. Other providers' ids may contain them. */
const acceptableId = (id: string): string =>
  id.replaceAll(/[^a-zA-Z0-9_-]/g, (character) => `_${character.codePointAt(0)?.toString(16)}_`);
