import type { ProviderImage, ProviderMessage, ProviderPart } from '../../../provider/port.ts';
import { signatureOf } from '../reasoning.ts';
import { textsApart } from '../../texts.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import { unpack } from '../../../ingress/http/foreign-signature.ts';
import { imageOf } from '../../../ingress/http/images.ts';
import type { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { customArguments } from './custom-tools.ts';
import type { Item } from './schemas.ts';
import { foundBy, ranByVendor } from './vendor-tools.ts';

/** Maps input items to messages. The items of one answer become one message. */
export class ItemMapper {
  readonly #untranslatable: Untranslatable;
  readonly #names = new Map<string, string>();
  readonly #messages: { role: ProviderMessage['role']; content: ProviderPart[] }[] = [];
  /** Signatures of tool calls by call id. Clients send them in separate items before the calls. */
  readonly #signatures = new Map<string, NonNullable<Extract<ProviderPart, { type: 'tool-call' }>['signature']>>();
  /** Text parts that contain results of OpenAI's own tools. */
  readonly #foundParts = new Set<ProviderPart>();

  constructor(untranslatable: Untranslatable) {
    this.#untranslatable = untranslatable;
  }

  messages(items: readonly Item[]): ProviderMessage[] {
    for (const [index, item] of items.entries()) this.#add(item, `input[${index}]`);
    return this.#messages;
  }

  #add(item: Item, field: string): void {
    const { type } = item;
    const { call_id: callId, name } = item as Record<string, unknown>;
    if (type === 'reasoning') return this.#reasoning(item);
    if ((type === 'message' || type === undefined || type === null) && typeof item.role === 'string')
      return this.#message(item, item.role, field);
    if ((type === 'function_call' || type === 'custom_tool_call') && typeof callId === 'string') {
      const text = textOf(type === 'function_call' ? item['arguments'] : item['input']);
      return this.#call(callId, textOf(name), type === 'function_call' ? text : customArguments(text));
    }
    if ((type === 'function_call_output' || type === 'custom_tool_call_output') && typeof callId === 'string')
      return this.#result(callId, item['output'], `${field}.output`);
    if (ranByVendor(item)) return this.#found(item);
    // If a client assumes that the server stored an item, it sends only the id. The AI SDK does so by default.
    if (type === 'item_reference')
      return this.#untranslatable.add(field, 'the item itself, as clients send it with store: false', item);
    this.#untranslatable.add(field, 'a message, reasoning, a call or its output', item);
  }

  #message(item: Item, statedRole: string, field: string): void {
    const role = statedRole === 'user' || statedRole === 'assistant' ? statedRole : 'system';
    const parts = this.#parts(item['content'], `${field}.content`);
    if (role === 'assistant') this.#say(parts);
    else this.#messages.push({ role, content: parts });
  }

  #found(item: Item): void {
    const text = foundBy(item);
    if (text === null) return;
    const part: ProviderPart = { type: 'text', text };
    this.#say([part], true);
  }

  /**
   * Adds parts to the assistant's message. The texts of an answer are later concatenated, so a blank line separates
   * results of a tool (`isFound`) from other text.
   */
  #say(parts: ProviderPart[], isFound = false): void {
    const content = this.#assistant();
    const [first, ...rest] = parts;
    if (first?.type !== 'text') return void content.push(...parts);
    const before = content.findLast(({ type }) => type === 'text');
    const isApart = before !== undefined && (isFound || this.#foundParts.has(before));
    const begun: ProviderPart = isApart ? { ...first, text: `\n\n${first.text}` } : first;
    if (isFound) this.#foundParts.add(begun);
    content.push(begun, ...rest);
  }

  #assistant(): ProviderPart[] {
    const last = this.#messages.at(-1);
    if (last?.role === 'assistant') return last.content;
    const content: ProviderPart[] = [];
    this.#messages.push({ role: 'assistant', content });
    return content;
  }

  #reasoning(item: Item): void {
    const texts = [item['summary'], item['content']].flatMap((list) => (Array.isArray(list) ? list : []));
    const text = texts.map((part) => textOf(fieldsOf(part)['text'])).join('\n\n');
    const value = item['encrypted_content'];
    const packed = typeof value === 'string' ? unpack(value) : null;
    if (packed?.callId !== undefined) {
      if (packed.signature !== undefined) this.#signatures.set(packed.callId, packed.signature);
      return;
    }
    const own = typeof value === 'string' && value !== '' ? signatureOf(textOf(item['id']), value) : undefined;
    const signature = packed === null ? own : packed.signature;
    if (text === '' && signature === undefined) return;
    const thinking: ProviderPart = { type: 'thinking', text, redacted: text === '' };
    this.#assistant().push(signature === undefined ? thinking : { ...thinking, signature });
  }

  #call(id: string, name: string, text: string): void {
    this.#names.set(id, name);
    const signature = this.#signatures.get(id);
    const call: ProviderPart = { type: 'tool-call', id, name, arguments: text };
    this.#assistant().push(signature === undefined ? call : { ...call, signature });
  }

  #result(callId: string, output: unknown, field: string): void {
    const parts = this.#parts(output, field);
    const images = parts.flatMap((part): ProviderImage[] => (part.type === 'image' ? [part.image] : []));
    const result: ProviderPart = {
      type: 'tool-result',
      callId,
      name: this.#names.get(callId) ?? '',
      content: textsApart(parts),
      ...(images.length === 0 ? {} : { images }),
      isError: false,
    };
    this.#messages.push({ role: 'tool', content: [result] });
  }

  #parts(content: unknown, field: string): ProviderPart[] {
    if (typeof content === 'string') return [{ type: 'text', text: content }];
    if (!Array.isArray(content)) {
      this.#untranslatable.add(field, 'a text or a list of parts', content);
      return [];
    }
    return content.flatMap((each: unknown, index): ProviderPart[] => {
      const part = fieldsOf(each);
      const text = part['text'] ?? part['refusal'];
      if (/^((input|output)_)?text$|^refusal$/.test(String(part['type'])) && typeof text === 'string')
        return [{ type: 'text', text }];
      const image = part['type'] === 'input_image' ? imageOf(part['image_url']) : null;
      if (image !== null) return [{ type: 'image', image }];
      this.#untranslatable.add(`${field}[${index}]`, 'a text, or an image as a data: or https: address', each);
      return [];
    });
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
