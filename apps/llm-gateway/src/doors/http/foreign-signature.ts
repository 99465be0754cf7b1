/**
 * A provider's signature on its way through a client of another wire: packed into that wire's own opaque field, which clients give back unchanged, and told apart
 * from that wire's own by its beginning. Without it a conversation with a model that insists on its signatures could go on through its own wire alone.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../../provider/http/json.ts';

/**
 * Without a `signature` it says no more than that the part is another provider's: the wire's own would refuse it for having none.
 * `callId`: of the tool call that it belongs to, where the wire's calls have no place for one.
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

/** Null where it is none of ours. */
export function unpack(text: string): Packed | null {
  if (!text.startsWith(prefix)) return null;
  const parsed = packedSchema.safeParse(jsonOf(Buffer.from(text.slice(prefix.length), 'base64url').toString()));
  if (!parsed.success) return null;
  const { wire, value, callId } = parsed.data;
  const signature = wire === undefined || value === undefined ? {} : { signature: { wire, value } };
  return { ...signature, ...(callId === undefined ? {} : { callId }) };
}
