import type { Signature } from '@coppice/contracts';
import type { ProviderMessage, ProviderPart } from '../../../provider/port.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import { CallIds } from '../../../ingress/http/call-ids.ts';
import { pack, unpack } from '../../../ingress/http/foreign-signature.ts';
import { imageOf } from '../../../ingress/http/images.ts';
import type { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import type { Content, Part } from './schemas.ts';

/**
 * Returns the signature as base64, which this wire format requires. A signature of another format is packed together
 * with its format's name.
 */
export const signatureText = (signature: Signature): string =>
  signature.wire === 'gemini' ? signature.value : Buffer.from(pack({ signature })).toString('base64');

export function signatureFrom(value: unknown): { signature?: Signature } {
  if (typeof value !== 'string' || value === '') return {};
  const packed = unpack(Buffer.from(value, 'base64').toString());
  return { signature: packed?.signature ?? { wire: 'gemini', value } };
}

export class PartMapper {
  readonly #untranslatable: Untranslatable;
  readonly #ids = new CallIds();

  constructor(untranslatable: Untranslatable) {
    this.#untranslatable = untranslatable;
  }

  /** Function results become separate messages before the rest of the content. */
  messages({ role, parts }: Content, field: string): ProviderMessage[] {
    const mapped = this.parts(parts ?? [], `${field}.parts`);
    if (role === 'model') return [{ role: 'assistant', content: mapped }];
    const results = mapped.filter(({ type }) => type === 'tool-result');
    const said = mapped.filter(({ type }) => type !== 'tool-result');
    return [
      ...results.map((part): ProviderMessage => ({ role: 'tool', content: [part] })),
      ...(said.length > 0 || results.length === 0 ? [{ role: 'user', content: said } as const] : []),
    ];
  }

  parts(parts: readonly Part[], field: string): ProviderPart[] {
    return parts.flatMap((part, index) => {
      const mapped = this.#part(part);
      if (mapped !== null) return [mapped];
      const expected = 'a text, an image, a functionCall or a functionResponse';
      this.#untranslatable.add(`${field}[${index}]`, expected, part);
      return [];
    });
  }

  #part(part: Part): ProviderPart | null {
    const { text, thought, thoughtSignature, functionCall, functionResponse, inlineData, fileData } = part;
    const signed = signatureFrom(thoughtSignature);
    if (typeof text === 'string')
      return thought === true
        ? { type: 'thinking', text, redacted: false, ...signed }
        : { type: 'text', text, ...signed };
    if (functionCall !== undefined) {
      const { id, name, args } = fieldsOf(functionCall);
      if (typeof name !== 'string') return null;
      return {
        type: 'tool-call',
        id: this.#ids.call(name, id),
        name,
        arguments: JSON.stringify(args ?? {}),
        ...signed,
      };
    }
    if (functionResponse !== undefined) return this.#result(fieldsOf(functionResponse));
    const image = imageFrom(inlineData ?? fileData);
    return image === null ? null : { type: 'image', image };
  }

  #result({ id, name, response, parts }: Record<string, unknown>): ProviderPart | null {
    const call = this.#ids.result(typeof name === 'string' ? name : '', id);
    // Google's clients put a result that isn't an object into the field `output` or `error`.
    const { output, error, ...rest } = fieldsOf(response);
    const alone = Object.keys(rest).length === 0 ? (error ?? output) : undefined;
    const content = typeof alone === 'string' ? alone : JSON.stringify(alone ?? response ?? {});
    const pictures = (Array.isArray(parts) ? parts : []).map((part) => imageFrom(fieldsOf(part)['inlineData']));
    const images = pictures.filter((image) => image !== null);
    if (images.length < pictures.length) return null;
    return {
      type: 'tool-result',
      callId: call.id,
      name: call.name,
      content,
      ...(images.length === 0 ? {} : { images }),
      isError: error !== undefined,
    };
  }
}

function imageFrom(source: unknown) {
  const { mimeType, data, fileUri } = fieldsOf(source);
  if (typeof mimeType === 'string' && typeof data === 'string') return imageOf(`data:${mimeType};base64,${data}`);
  return typeof mimeType === 'string' && mimeType.startsWith('image/') ? imageOf(fileUri) : null;
}
