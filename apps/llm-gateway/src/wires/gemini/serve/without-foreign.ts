import { fieldsOf } from '../../../ingress/http/fields.ts';
import { signatureFrom } from './parts.ts';

type Fields = Record<string, unknown>;

/** Removes thinking and signatures of other providers. Accepts camel case and snake case. */
export function withoutForeign(body: Fields): Fields {
  const { contents } = body;
  // If `contents` isn't an array, it is one content of the user, which has no signatures.
  return Array.isArray(contents) ? { ...body, contents: (contents as Fields[]).flatMap(ownPart) } : body;
}

function ownPart(content: Fields): Fields[] {
  const { parts } = content;
  if (!Array.isArray(parts)) return [content];
  const own = parts.flatMap(withoutSignature);
  // Gemini rejects a content without parts.
  return own.length === 0 && parts.length > 0 ? [] : [{ ...content, parts: own }];
}

function withoutSignature(part: unknown): unknown[] {
  const { thoughtSignature, thought_signature: spelled = thoughtSignature, ...rest } = fieldsOf(part);
  const { signature } = signatureFrom(spelled);
  if (signature === undefined || signature.wire === 'gemini') return [part];
  return rest['thought'] === true ? [] : [rest];
}
