import type { ModelRequest, UsageSoFar } from '../provider/port.ts';
import { bytesOfRequest } from '../usage.ts';
import { fits, nanoUsdOf } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Prices } from './prices.ts';

/** Low estimate, so that reservations are too large rather than too small. In most languages a token has more bytes. */
const bytesPerTokenMin = 3;
/**
 * Output tokens that are reserved if the request sets no limit. Most answers are shorter. A longer answer is charged in
 * full.
 */
export const outputTokensDefault = 8_192;
/**
 * Smallest output limit that the gateway sets. With a lower limit, an answer would be cut before it contains anything
 * useful, and would still be charged.
 */
export const outputTokensMin = 256;

type SizedRequest = { provider: string; model: string; request: Omit<ModelRequest, 'model'> };

type Most = (outputTokens: number) => Amount;

/**
 * Estimates the maximum usage of one request to a provider before the call. If the price is unknown, the cost is 0.
 * This is safe, since `requirePrice` in the exchange rejects such a call if a budget has a dollar limit.
 */
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

/**
 * Reports whether a Messages body requests caching for an hour. The `cache_control` field can be in the body, in tools,
 * and in blocks at any depth.
 */
function marksAnHour(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(marksAnHour);
  if (typeof value !== 'object' || value === null) return false;
  const { cache_control: mark, system, tools, messages, content, source } = value as Record<string, unknown>;
  const { ttl } = (mark ?? {}) as { ttl?: unknown };
  return ttl === '1h' || [system, tools, messages, content, source].some(marksAnHour);
}

/**
 * Returns the largest number of output tokens whose maximum usage fits in `free`. Assumes that `outputTokensMin` fits.
 */
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
