/** How much may be answered, in the words of all servers of OpenAI's wires: llama.cpp's heeds each in both of them, its own before the others. */
import { z } from 'zod';

const tokens = z.int().positive().nullish();
/** Of several answers all but the first could be cut without anybody seeing it. */
const one = z.literal(1).nullish();

export const answerLimits = {
  max_completion_tokens: tokens,
  max_tokens: tokens,
  n_predict: tokens,
  n: one,
  n_cmpl: one,
};
type AnswerLimits = z.output<z.ZodObject<typeof answerLimits>>;

/** Which of them a provider heeds differs: so much is reserved as each allows. */
export const largestOf = (
  { max_completion_tokens: newer, max_tokens: older, n_predict: own }: AnswerLimits,
  ofWire?: number | null,
): number | undefined => Math.max(newer ?? 0, older ?? 0, own ?? 0, ofWire ?? 0) || undefined;
