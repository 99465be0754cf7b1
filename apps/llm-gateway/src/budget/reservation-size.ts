import type { ModelRequest, UsageSoFar } from '../provider/port.ts';
import { bytesOfRequest } from '../usage.ts';
import { fits, nanoUsdOf } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Prices } from './prices.ts';

/** Low estimate of the bytes per token, so that reservations are too large rather than too small. */
const bytesPerTokenMin = 3;
/** Output tokens to reserve if the request sets no limit. A longer answer is charged in full. */
export const outputTokensDefault = 8_192;
/** Smallest output limit that the gateway sets. A lower limit would cut most answers before they are useful. */
export const outputTokensMin = 256;

type SizedRequest = { provider: string; model: string; request: Omit<ModelRequest, 'model'> };

/** Returns the maximum usage for a number of output tokens. */
type Most = (outputTokens: number) => Amount;

/**
 * Estimates the maximum usage of one request to a provider. An unknown price counts as 0, since `requirePrice` in the
 * exchange rejects such calls if a budget has a dollar limit.
 */
export function maximumUsage({ provider, model, request }: SizedRequest, prices: Prices): Most {
  const inputTokens = Math.ceil(bytesOfRequest(request) / bytesPerTokenMin);
  const written = {
    cacheWriteInputTokens: inputTokens,
    ...(usesHourCache(request) ? { cacheWriteHourInputTokens: inputTokens } : {}),
  };
  return (outputTokens) => {
    // Images are the most expensive output. Either cache writes or plain input is the most expensive input.
    const plain = { inputTokens, outputTokens, imageOutputTokens: outputTokens };
    const dear = [{ ...plain, ...written }, plain].map((usage) => prices.costOf(provider, model, usage));
    return { tokens: inputTokens + outputTokens, nanoUsd: nanoUsdOf(Math.max(...dear.map((cost) => cost ?? 0))) };
  };
}

const usesHourCache = ({ original }: SizedRequest['request']): boolean =>
  original?.wire === 'anthropic' && marksAnHour(original.body);

/** Reports whether the body of a Messages request sets a cache lifetime of one hour anywhere. */
function marksAnHour(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(marksAnHour);
  if (typeof value !== 'object' || value === null) return false;
  const { cache_control: mark, system, tools, messages, content, source } = value as Record<string, unknown>;
  const { ttl } = (mark ?? {}) as { ttl?: unknown };
  return ttl === '1h' || [system, tools, messages, content, source].some(marksAnHour);
}

/** Returns the largest number of output tokens whose maximum usage fits `free`. Assumes that `outputTokensMin` fits. */
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
