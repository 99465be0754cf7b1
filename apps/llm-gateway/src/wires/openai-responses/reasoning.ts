/**
 * The reasoning of OpenAI's models, as it is kept with the conversation. The server stores nothing, and takes back its own encrypted text. The signature of a
 * thinking part holds that text and the item's id, which the request must contain, too.
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

/** Null for thinking that this wire format didn't sign: without the encrypted text, the server can't use the item. */
export function reasoningItem({ text, signature }: ProviderThinking): ReasoningItem | null {
  if (signature?.wire !== wire) return null;
  const signed = signedSchema.safeParse(jsonOf(signature.value));
  if (!signed.success) return null;
  const summary = text === '' ? [] : [{ type: 'summary_text' as const, text }];
  return { type: 'reasoning', summary, ...signed.data };
}
