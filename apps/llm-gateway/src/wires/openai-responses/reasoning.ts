/**
 * The reasoning of OpenAI's models, as the gateway stores it in the conversation. The server stores nothing, so the
 * next request must contain the encrypted reasoning and the item's id. The signature of a thinking part contains both.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../../transport/json.ts';
import type { ProviderThinking } from '../../provider/port.ts';

const wire = 'openai-responses';
const signedSchema = z.object({ id: z.string(), encrypted_content: z.string() });

export type ReasoningItem = {
  type: 'reasoning';
  id: string;
  summary: { type: 'summary_text'; text: string }[];
  encrypted_content: string;
};

export const signatureOf = (id: string, encryptedContent: string): Signature => ({
  wire,
  value: JSON.stringify({ id, encrypted_content: encryptedContent }),
});

/** Returns null for thinking without a signature of this wire format, since the server can't use it. */
export function reasoningItem({ text, signature }: ProviderThinking): ReasoningItem | null {
  if (signature?.wire !== wire) return null;
  const signed = signedSchema.safeParse(jsonOf(signature.value));
  if (!signed.success) return null;
  const summary = text === '' ? [] : [{ type: 'summary_text' as const, text }];
  return { type: 'reasoning', summary, ...signed.data };
}
