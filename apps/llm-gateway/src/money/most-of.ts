import type { ModelRequest, UsageSoFar } from '../provider/port.ts';
import { bytesOfRequest } from '../usage.ts';
import { fits, nanoUsdOf } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Prices } from './prices.ts';

/** Text has more bytes for each token than this, in most languages and vocabularies: who reserves is to err on the high side. */
const bytesPerTokenMin = 3;
/** Of an answer whose request names no maximum: most are shorter, and what is longer is charged all the same. */
export const outputTokensDefault = 8_192;
/** With less a model is cut before it has said anything of use, a whole tool call say, and that is paid for. */
export const outputTokensMin = 256;

type Asked = { provider: string; model: string; request: Omit<ModelRequest, 'model'> };

/** By tokens of output. */
type Most = (outputTokens: number) => Amount;

/** What asking a provider once may use at most, as far as that can be told before. What has no known price costs nothing: a limit in dollars isn't for it. */
export function mostOf({ provider, model, request }: Asked, prices: Prices): Most {
  const inputTokens = Math.ceil(bytesOfRequest(request) / bytesPerTokenMin);
  const written = {
    cacheWriteInputTokens: inputTokens,
    ...(asksForAnHour(request) ? { cacheWriteHourInputTokens: inputTokens } : {}),
  };
  return (outputTokens) => {
    // Writing to a cache is what input costs most for, and pictures what output does.
    const plain = { inputTokens, outputTokens, imageOutputTokens: outputTokens };
    const dear = [{ ...plain, ...written }, plain].map((usage) => prices.costOf(provider, model, usage));
    return { tokens: inputTokens + outputTokens, nanoUsd: nanoUsdOf(Math.max(...dear.map((cost) => cost ?? 0))) };
  };
}

const asksForAnHour = ({ original }: Asked['request']): boolean =>
  original?.wire === 'anthropic' && marksAnHour(original.body);

/** Whether something of a Messages body is to be cached for an hour: marks stand at the body, at tools, and at blocks, those that results and documents consist of included. */
function marksAnHour(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(marksAnHour);
  if (typeof value !== 'object' || value === null) return false;
  const { cache_control: mark, system, tools, messages, content, source } = value as Record<string, unknown>;
  const { ttl } = (mark ?? {}) as { ttl?: unknown };
  return ttl === '1h' || [system, tools, messages, content, source].some(marksAnHour);
}

/** The longest answer for which enough is free, in tokens; it is for the shortest that is of use. */
export function longestWithin(most: Most, free: Amount): number {
  let fitting = outputTokensMin;
  let tooLong = outputTokensDefault;
  while (tooLong - fitting > 1) {
    const middle = Math.floor((fitting + tooLong) / 2);
    if (fits(most(middle), free)) fitting = middle;
    else tooLong = middle;
  }
  return fitting;
}

export const usedOf = ({ inputTokens = 0, outputTokens = 0, costUsd = 0 }: UsageSoFar): Amount => ({
  tokens: inputTokens + outputTokens,
  nanoUsd: nanoUsdOf(costUsd),
});
