/**
 * Fields that limit the answer, in both of OpenAI's wire formats. llama.cpp's server reads all of these fields in both formats, and prefers its own,
 * `n_predict`.
 */
import { z } from 'zod';

/** May be negative, since some servers treat -1 as no limit. */
const tokens = z.int().nullish();
/** Allows only one answer. If there were several, a truncation of the second or a later one could go unnoticed. */
const one = z.literal(1).nullish();

export const answerLimits = {
  max_completion_tokens: tokens,
  max_tokens: tokens,
  n_predict: tokens,
  n: one,
  n_cmpl: one,
};
type AnswerLimits = z.output<z.ZodObject<typeof answerLimits>>;

/**
 * Returns the largest of these limits for the reservation, since providers differ in which limit they apply. Returns undefined if none is set, or one of them
 * means no limit.
 */
export function largestOf(
  { max_completion_tokens: newer, max_tokens: older, n_predict: own }: AnswerLimits,
  ofWire?: number | null,
): number | undefined {
  const stated = [newer, older, own, ofWire].filter((limit) => limit !== null && limit !== undefined);
  return stated.length === 0 || stated.some((limit) => limit <= 0) ? undefined : Math.max(...stated);
}
