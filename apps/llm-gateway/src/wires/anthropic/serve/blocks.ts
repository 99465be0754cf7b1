import type { ProviderImage, ProviderMessage, ProviderPart } from '../../../provider/port.ts';
import { textsApart } from '../../texts.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import { unpack } from '../../../ingress/http/foreign-signature.ts';
import type { Packed } from '../../../ingress/http/foreign-signature.ts';
import { imageOf } from '../../../ingress/http/images.ts';
import type { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import type { Block, Content, Message } from './schemas.ts';

/** Maps blocks to parts. Stores the tools' names from the calls, since the results don't repeat them. */
export class BlockMapper {
  readonly #names = new Map<string, string>();
  readonly #untranslatable: Untranslatable;

  constructor(untranslatable: Untranslatable) {
    this.#untranslatable = untranslatable;
  }

  /** Tool results in a user's message become separate messages before the rest of the message. */
  messages({ role, content }: Message, field: string): ProviderMessage[] {
    if (role !== 'user' && role !== 'assistant' && role !== 'system')
      this.#untranslatable.add(`${field}.role`, 'user, assistant or system', role);
    const parts = this.parts(content, `${field}.content`);
    if (role === 'assistant') return [{ role: 'assistant', content: withSignatures(parts) }];
    if (role === 'system') return [{ role: 'system', content: parts }];
    const results = parts.filter(({ type }) => type === 'tool-result');
    const said = parts.filter(({ type }) => type !== 'tool-result');
    return [
      ...results.map((part): ProviderMessage => ({ role: 'tool', content: [part] })),
      ...(said.length > 0 || results.length === 0 ? [{ role: 'user', content: said } as const] : []),
    ];
  }

  parts(content: Content, field: string): ProviderPart[] {
    if (typeof content === 'string') return [{ type: 'text', text: content }];
    return content.flatMap((block, index) => {
      const part = this.#part(block, `${field}.${index}`);
      if (part !== null) return [part];
      this.#untranslatable.add(`${field}.${index}`, 'a block that other providers know', block);
      return [];
    });
  }

  #part(block: Block, field: string): ProviderPart | null {
    const { type } = fieldsOf(block);
    const text = (name: string): string | null => (typeof block[name] === 'string' ? block[name] : null);
    if (type === 'text') return text('text') === null ? null : { type: 'text', text: text('text') ?? '' };
    if (type === 'image') {
      const image = imageFrom(block['source']);
      return image === null ? null : { type: 'image', image };
    }
    if (type === 'thinking') {
      const value = text('signature');
      const thought = { type: 'thinking', text: text('thinking') ?? '', redacted: false } as const;
      if (value === null || value === '') return thought;
      return { ...thought, ...signatureIn(unpack(value) ?? { signature: { wire: 'anthropic', value } }) };
    }
    if (type === 'redacted_thinking') return redacted(text('data') ?? '');
    if (type === 'tool_use') return this.#call(block);
    if (type === 'tool_result') return this.#result(block, field);
    return null;
  }

  #call({ id, name, input }: Block): ProviderPart | null {
    if (typeof id !== 'string' || typeof name !== 'string') return null;
    this.#names.set(id, name);
    return { type: 'tool-call', id, name, arguments: JSON.stringify(input ?? {}) };
  }

  #result(block: Block, field: string): ProviderPart | null {
    const callId = block['tool_use_id'];
    if (typeof callId !== 'string') return null;
    const content = block['content'];
    const parts = Array.isArray(content)
      ? this.parts(content as Block[], `${field}.content`)
      : this.parts(typeof content === 'string' ? content : '', field);
    const images = parts.flatMap((part): ProviderImage[] => (part.type === 'image' ? [part.image] : []));
    return {
      type: 'tool-result',
      callId,
      name: this.#names.get(callId) ?? '',
      content: textsApart(parts),
      ...(images.length === 0 ? {} : { images }),
      isError: block['is_error'] === true,
    };
  }
}

type Carried = Extract<ProviderPart, { type: 'thinking' }> & { callId?: string | undefined };

function redacted(data: string): Carried {
  const packed = unpack(data) ?? { signature: { wire: 'anthropic', value: data } };
  return { type: 'thinking', text: '', redacted: true, ...packed };
}

const signatureIn = ({ signature }: Packed): Pick<Packed, 'signature'> =>
  signature === undefined ? {} : { signature };

/** Gives each tool call its signature, which a client sends back in a separate block (see `carrierOf`). */
function withSignatures(parts: readonly ProviderPart[]): ProviderPart[] {
  const signatures = new Map(
    parts.flatMap((part) => {
      const callId = (part as Partial<Carried>).callId;
      return part.type === 'thinking' && callId !== undefined ? [[callId, part.signature] as const] : [];
    }),
  );
  return parts.flatMap((part): ProviderPart[] => {
    if (part.type === 'thinking' && (part as Carried).callId !== undefined) return [];
    if (part.type !== 'tool-call') return [part];
    const signature = signatures.get(part.id);
    return [signature === undefined ? part : { ...part, signature }];
  });
}

function imageFrom(source: unknown): ProviderImage | null {
  const { type, media_type: mediaType, data, url } = fieldsOf(source);
  if (type === 'base64' && typeof mediaType === 'string' && typeof data === 'string')
    return imageOf(`data:${mediaType};base64,${data}`);
  return type === 'url' ? imageOf(url) : null;
}
