/** How much may be answered, in the words of all servers of OpenAI's wires: llama.cpp's heeds each in both of them, its own before the others. */
import { z } from 'zod';

/** -1 is no limit to some. */
const tokens = z.int().nullish();
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

/** Which of them a provider heeds differs: so much is reserved as each allows. Undefined where one of them is no limit, or there is none. */
export function largestOf(
  { max_completion_tokens: newer, max_tokens: older, n_predict: own }: AnswerLimits,
  ofWire?: number | null,
): number | undefined {
  const told = [newer, older, own, ofWire].filter((limit) => limit !== null && limit !== undefined);
  return told.length === 0 || told.some((limit) => limit <= 0) ? undefined : Math.max(...told);
}
