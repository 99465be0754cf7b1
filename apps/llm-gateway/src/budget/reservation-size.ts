import type { ModelRequest, UsageSoFar } from '../provider/port.ts';
import { bytesOfRequest } from '../usage.ts';
import { fits, nanoUsdOf } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Prices } from './prices.ts';

/** Text has more bytes per token than this in most languages and vocabularies, so that reservations are rather too large than too small. */
const bytesPerTokenMin = 3;
/** Output tokens reserved if the request sets no limit. Most answers are shorter; a longer one is still charged in full. */
export const outputTokensDefault = 8_192;
/** The smallest output limit set by the gateway. Below it, an answer is cut before it holds anything useful, such as a whole tool call, and must be paid for. */
export const outputTokensMin = 256;

type SizedRequest = { provider: string; model: string; request: Omit<ModelRequest, 'model'> };

/** The maximum by number of output tokens. */
type Most = (outputTokens: number) => Amount;

/** The most that one request to a provider can use, as an estimate before the call. If its price isn't known, the cost is 0: `requirePrice` in the exchange rejects such calls under a dollar limit. */
export function maximumUsage({ provider, model, request }: SizedRequest, prices: Prices): Most {
  const inputTokens = Math.ceil(bytesOfRequest(request) / bytesPerTokenMin);
  const written = {
    cacheWriteInputTokens: inputTokens,
    ...(usesHourCache(request) ? { cacheWriteHourInputTokens: inputTokens } : {}),
  };
  return (outputTokens) => {
    // Cache writes are the most expensive input, and images the most expensive output.
    const plain = { inputTokens, outputTokens, imageOutputTokens: outputTokens };
    const dear = [{ ...plain, ...written }, plain].map((usage) => prices.costOf(provider, model, usage));
    return { tokens: inputTokens + outputTokens, nanoUsd: nanoUsdOf(Math.max(...dear.map((cost) => cost ?? 0))) };
  };
}

const usesHourCache = ({ original }: SizedRequest['request']): boolean =>
  original?.wire === 'anthropic' && marksAnHour(original.body);

/** Reports whether a Messages body marks anything for an hour's caching. Marks can be on the body, on tools, and on blocks, including the blocks in results and documents. */
function marksAnHour(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(marksAnHour);
  if (typeof value !== 'object' || value === null) return false;
  const { cache_control: mark, system, tools, messages, content, source } = value as Record<string, unknown>;
  const { ttl } = (mark ?? {}) as { ttl?: unknown };
  return ttl === '1h' || [system, tools, messages, content, source].some(marksAnHour);
}

/** The longest answer, in tokens, that fits `free`. Assumes that the shortest useful one fits. */
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
