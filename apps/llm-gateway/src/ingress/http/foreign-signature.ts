/**
 * Carries a provider's signature through a client of another wire format, packed into that format's own opaque field, which clients send back unchanged. A prefix
 * distinguishes it from that format's own signatures. Without it, a conversation with a model that requires its signatures could continue in its own format only.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../../transport/json.ts';

/**
 * Without a `signature`, only marks the part as another provider's: the format's own vendor would reject an unsigned part.
 * `callId`: the tool call that the signature belongs to, if calls have no field for signatures in the wire format.
 */
export type Packed = { signature?: Signature | undefined; callId?: string | undefined };

const prefix = 'coppice1.';
const packedSchema = z
  .object({ wire: z.string(), value: z.string() })
  .partial()
  .extend({ callId: z.string().optional() });

export function pack({ signature, callId }: Packed): string {
  const text = JSON.stringify({ ...signature, ...(callId === undefined ? {} : { callId }) });
  return `${prefix}${Buffer.from(text).toString('base64url')}`;
}

/** Returns null if the text was not made by `pack`. */
export function unpack(text: string): Packed | null {
  if (!text.startsWith(prefix)) return null;
  const parsed = packedSchema.safeParse(jsonOf(Buffer.from(text.slice(prefix.length), 'base64url').toString()));
  if (!parsed.success) return null;
  const { wire, value, callId } = parsed.data;
  const signature = wire === undefined || value === undefined ? {} : { signature: { wire, value } };
  return { ...signature, ...(callId === undefined ? {} : { callId }) };
}
