/**
 * Carries a provider's signature through a client of another wire format. The signature is packed into an opaque field of the client's format, which clients
 * send back unchanged. A prefix distinguishes it from the format's own signatures. Otherwise a conversation with a model that requires its signatures could
 * continue only in that model's wire format.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../../transport/json.ts';

/**
 * Content of a packed text. Without a `signature`, it only marks the part as another provider's, since the vendor of the client's format would reject an
 * unsigned part. `callId`: the tool call that the signature belongs to, if calls have no field for signatures in the wire format.
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

/** Returns null if the text was not created by `pack`. */
export function unpack(text: string): Packed | null {
  if (!text.startsWith(prefix)) return null;
  const parsed = packedSchema.safeParse(jsonOf(Buffer.from(text.slice(prefix.length), 'base64url').toString()));
  if (!parsed.success) return null;
  const { wire, value, callId } = parsed.data;
  const signature = wire === undefined || value === undefined ? {} : { signature: { wire, value } };
  return { ...signature, ...(callId === undefined ? {} : { callId }) };
}
