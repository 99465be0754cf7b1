/**
 * Encodes and decodes a stored answer. The stored form is the list of deltas as compressed JSON. A value that
 * can't be decoded counts as a missing answer.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { finishReasonSchema, signatureSchema } from '@coppice/contracts';
import { z } from 'zod';
import type { FinishReason, ModelDelta } from '../provider/port.ts';
import { cacheLimits } from './limits.ts';

const count = z.int().nonnegative();
const signature = signatureSchema.optional();

const deltaSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('raw'), whole: z.boolean(), name: z.string().nullable(), data: z.string() }),
  z.object({
    type: z.literal('response-start'),
    responseModel: z.string().optional(),
    responseId: z.string().optional(),
  }),
  z.object({ type: z.literal('text-delta'), text: z.string(), signature }),
  z.object({
    type: z.literal('thinking-delta'),
    block: count,
    text: z.string(),
    redacted: z.boolean().optional(),
    signature,
  }),
  z.object({
    type: z.literal('tool-call-delta'),
    call: count,
    id: z.string().optional(),
    name: z.string().optional(),
    arguments: z.string(),
    signature,
  }),
  z.object({
    type: z.literal('usage'),
    usage: z.object({
      inputTokens: count.optional(),
      outputTokens: count.optional(),
      cachedInputTokens: count.optional(),
      cacheWriteInputTokens: count.optional(),
      reasoningTokens: count.optional(),
    }),
  }),
  z.object({
    type: z.literal('response-end'),
    finishReason: finishReasonSchema,
    providerFinishReason: z.string().optional(),
  }),
]);
const entrySchema = z.object({ deltas: z.array(deltaSchema).min(1).max(cacheLimits.answerDeltasMax) });

/**
 * Finish reasons of answers that are stored. An answer that was cut, refused or filtered isn't stored, since a repeated
 * call may get a better one.
 */
const wholeReasons: readonly FinishReason[] = ['stop', 'tool-calls'];

/** Reports whether the deltas are a complete answer that has output and a finish reason in `wholeReasons`. */
function isWhole(deltas: readonly ModelDelta[]): boolean {
  const last = deltas.at(-1);
  if (last?.type !== 'response-end' || !wholeReasons.includes(last.finishReason)) return false;
  const ends = deltas.filter(({ type }) => type === 'response-end').length;
  return ends === 1 && deltas.some(({ type }) => type === 'text-delta' || type === 'tool-call-delta');
}

/** Returns null if the answer is incomplete or too large to be stored. */
export async function encodeEntry(deltas: readonly ModelDelta[], bytesMax: number): Promise<Uint8Array | null> {
  if (!isWhole(deltas)) return null;
  const text = Buffer.from(JSON.stringify({ deltas: deltas.map(withoutCost) }));
  if (text.length > cacheLimits.answerBytesMax) return null;
  const value = await promisify(gzip)(text);
  return value.length > bytesMax ? null : value;
}

/**
 * Returns the uncompressed size, which gzip stores in the last four bytes (RFC 1952). Null if no stored answer can have
 * that size.
 */
export function decodedBytesOf(value: Uint8Array): number | null {
  if (value.length < 4) return null;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length).readUInt32LE(value.length - 4);
  return bytes === 0 || bytes > cacheLimits.answerBytesMax ? null : bytes;
}

/** Returns null if the value isn't a complete answer, or if its uncompressed size exceeds `bytesMax`. */
export async function decodeEntry(value: Uint8Array, bytesMax: number): Promise<readonly ModelDelta[] | null> {
  try {
    const text = await promisify(gunzip)(value, { maxOutputLength: bytesMax });
    const { deltas } = entrySchema.parse(JSON.parse(text.toString())) as { deltas: ModelDelta[] };
    return isWhole(deltas) ? deltas : null;
  } catch {
    return null;
  }
}

/** Removes the reported cost, since a cached answer costs nothing. */
function withoutCost(delta: ModelDelta): ModelDelta {
  if (delta.type !== 'usage') return delta;
  const { costUsd: _cost, ...usage } = delta.usage;
  return { ...delta, usage };
}
