/** Fields that limit the answer, for all servers of OpenAI's two wire formats. llama.cpp's server reads each of them in both formats, and prefers its own. */
import { z } from 'zod';

/** Some servers take -1 as no limit. */
const tokens = z.int().nullish();
/** One answer only: if there were several, all but the first could be truncated unnoticed. */
const one = z.literal(1).nullish();

export const answerLimits = {
  max_completion_tokens: tokens,
  max_tokens: tokens,
  n_predict: tokens,
  n: one,
  n_cmpl: one,
};
type AnswerLimits = z.output<z.ZodObject<typeof answerLimits>>;

/** Returns the largest of these limits, for the reservation, since providers differ in which one they apply. Undefined if there is none, or one means no limit. */
export function largestOf(
  { max_completion_tokens: newer, max_tokens: older, n_predict: own }: AnswerLimits,
  ofWire?: number | null,
): number | undefined {
  const stated = [newer, older, own, ofWire].filter((limit) => limit !== null && limit !== undefined);
  return stated.length === 0 || stated.some((limit) => limit <= 0) ? undefined : Math.max(...stated);
}
