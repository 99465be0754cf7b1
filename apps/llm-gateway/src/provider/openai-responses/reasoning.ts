/**
 * What an OpenAI model thought, as it is kept with the conversation: the server stores nothing, and takes its own encrypted text back. The signature of such a
 * part holds that text and the item's id, which the wire wants again.
 */
import type { Signature } from '@coppice/contracts';
import { z } from 'zod';
import { jsonOf } from '../http/json.ts';
import type { ProviderThinking } from '../port.ts';

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

/** Null for what this wire didn't sign: without its encrypted text an item means nothing to the server. */
export function reasoningItem({ text, signature }: ProviderThinking): ReasoningItem | null {
  if (signature?.wire !== wire) return null;
  const signed = signedSchema.safeParse(jsonOf(signature.value));
  if (!signed.success) return null;
  const summary = text === '' ? [] : [{ type: 'summary_text' as const, text }];
  return { type: 'reasoning', summary, ...signed.data };
}
