import { durationOf, one } from './retry-after.ts';
import type { ResponseHeaders } from './retry-after.ts';

/**
 * For how many milliseconds a provider will answer nothing more, by the headers of an answer that it gave: the longest of the limits that have nothing left
 * with it. Null where something is left of all, or where it doesn't tell.
 */
export function usedUpMs(headers: ResponseHeaders, nowMs: number): number | null {
  const resets = [
    ...['requests', 'tokens']
      .filter((limit) => one(headers, `x-ratelimit-remaining-${limit}`) === '0')
      .map((limit) => durationOf((one(headers, `x-ratelimit-reset-${limit}`) ?? '').trim())),
    ...['requests', 'tokens', 'input-tokens', 'output-tokens']
      .filter((limit) => one(headers, `anthropic-ratelimit-${limit}-remaining`) === '0')
      .map((limit) => Date.parse(one(headers, `anthropic-ratelimit-${limit}-reset`) ?? '') - nowMs),
  ].flatMap((ms) => (ms !== null && ms > 0 ? [ms] : []));
  return resets.length === 0 ? null : Math.ceil(Math.max(...resets));
}
