/**
 * Fields that limit the answer in OpenAI's two wire formats. The server of llama.cpp reads all of these fields in both
 * formats and prefers `n_predict`.
 */
import { z } from 'zod';

/** May be negative, since -1 means no limit for some servers. */
const tokens = z.int().nullish();
/**
 * Allows only one answer per request. With several answers, the gateway might not notice that a later one was cut
 * short.
 */
const one = z.literal(1).nullish();

export const answerLimits = {
  max_completion_tokens: tokens,
  max_tokens: tokens,
  n_predict: tokens,
  n: one,
  n_cmpl: one,
};
type AnswerLimits = z.output<z.ZodObject<typeof answerLimits>>;

/** Returns the largest of these limits for the reservation, since providers differ in which limit they use. */
export function largestOf(
  { max_completion_tokens: newer, max_tokens: older, n_predict: own }: AnswerLimits,
  ofWire?: number | null,
): number | undefined {
  const stated = [newer, older, own, ofWire].filter((limit) => limit !== null && limit !== undefined);
  return stated.length === 0 || stated.some((limit) => limit <= 0) ? undefined : Math.max(...stated);
}
