/**
 * Packs a provider's signature into an opaque field of another wire format. A client of that format sends the field
 * back unchanged, so the provider gets its signature back in the next request. Without this, models that require their
 * signatures would work only with clients of their own wire format. A prefix distinguishes packed signatures from the
 * client format's own signatures.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../../transport/json.ts';

/**
 * Content of a packed text. Without a `signature`, the text only shows that the part came from another provider, since
 * the client format's vendor would reject an unsigned part. `callId` is the tool call to which the signature belongs,
 * if tool calls have no field for signatures in the wire format.
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

/** Returns null if `pack` didn't create the text. */
export function unpack(text: string): Packed | null {
  if (!text.startsWith(prefix)) return null;
  const parsed = packedSchema.safeParse(jsonOf(Buffer.from(text.slice(prefix.length), 'base64url').toString()));
  if (!parsed.success) return null;
  const { wire, value, callId } = parsed.data;
  const signature = wire === undefined || value === undefined ? {} : { signature: { wire, value } };
  return { ...signature, ...(callId === undefined ? {} : { callId }) };
}
