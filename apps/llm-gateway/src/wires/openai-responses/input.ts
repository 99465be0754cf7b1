import { acceptableCallId, acceptableName, argumentsText } from '../acceptable-history.ts';
import type { ProviderImage, ProviderMessage, ProviderPart } from '../../provider/port.ts';
import { imageUrl, resultText, textsApart } from '../texts.ts';
import { reasoningItem } from './reasoning.ts';
import type { ReasoningItem } from './reasoning.ts';

type InputPart =
  | { type: 'input_text'; text: string }
  | { type: 'input_image'; image_url: string; detail: 'auto' }
  | { type: 'output_text'; text: string };
type InputItem =
  | { type: 'message'; role: 'system' | 'user' | 'assistant'; content: InputPart[] }
  | { type: 'function_call'; call_id: string; name: string; arguments: string }
  | { type: 'function_call_output'; call_id: string; output: string | InputPart[] }
  | ReasoningItem;

const callIds = { pattern: /^.{0,64}$/s, characters: 64 };

/** Maps a conversation. `instructions` contains the system messages at its beginning, or is null if there are none. */
export function inputOf(messages: readonly ProviderMessage[]): { instructions: string | null; input: InputItem[] } {
  const spoken = messages.findIndex(({ role }) => role !== 'system');
  const leading = spoken === -1 ? messages.length : spoken;
  const instructions = messages
    .slice(0, leading)
    .map(({ content }) => textsApart(content))
    .join('\n\n');
  return { instructions: instructions === '' ? null : instructions, input: messages.slice(leading).flatMap(itemsOf) };
}

function itemsOf({ role, content }: ProviderMessage): InputItem[] {
  if (role === 'assistant') return answerItems(content);
  const results = content.filter((part) => part.type === 'tool-result').map(resultItem);
  const said = content.flatMap((part): InputPart[] => {
    if (part.type === 'text' && part.text !== '') return [{ type: 'input_text', text: part.text }];
    return part.type === 'image' ? [imagePart(part.image)] : [];
  });
  if (said.length === 0) return results;
  return [...results, { type: 'message', role: role === 'system' ? 'system' : 'user', content: said }];
}

function answerItems(content: readonly ProviderPart[]): InputItem[] {
  const items: InputItem[] = [];
  // The API rejects reasoning without a following item. A cut answer may end with such reasoning, so reasoning is added
  // together with the next item.
  const thoughts: ReasoningItem[] = [];
  const add = (item: InputItem) => items.push(...thoughts.splice(0), item);
  for (const part of content) {
    if (part.type === 'thinking') {
      const item = reasoningItem(part);
      if (item !== null) thoughts.push(item);
    } else if (part.type === 'tool-call') {
      add({
        type: 'function_call',
        call_id: acceptableCallId(part.id, callIds),
        name: acceptableName(part.name),
        arguments: argumentsText(part.arguments),
      });
    } else if (part.type === 'text' && part.text !== '') {
      add({ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: part.text }] });
    }
  }
  return items;
}

function resultItem(part: Extract<ProviderPart, { type: 'tool-result' }>): InputItem {
  const text = resultText(part);
  const images = (part.images ?? []).map(imagePart);
  return {
    type: 'function_call_output',
    call_id: acceptableCallId(part.callId, callIds),
    output: images.length === 0 ? text : [{ type: 'input_text', text }, ...images],
  };
}

const imagePart = (image: ProviderImage): InputPart => ({
  type: 'input_image',
  image_url: imageUrl(image),
  detail: 'auto',
});
