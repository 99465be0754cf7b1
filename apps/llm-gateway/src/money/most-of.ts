import type { ModelRequest, UsageSoFar } from '../provider/port.ts';
import { bytesOfRequest } from '../usage.ts';
import { nanoUsdOf } from './amount.ts';
import type { Amount } from './amount.ts';
import type { Prices } from './prices.ts';

/** Text has more bytes for each token than this, in most languages and vocabularies: who reserves is to err on the high side. */
const bytesPerTokenMin = 3;
/** Of an answer whose request names no maximum: most are shorter, and what is longer is charged all the same. */
const outputTokensDefault = 8_192;

type Asked = { provider: string; model: string; request: Omit<ModelRequest, 'model'> };

/** What asking a provider once may use at most, as far as that can be told before. What has no known price costs nothing: a limit in dollars isn't for it. */
export function mostOf({ provider, model, request }: Asked, prices: Prices): Amount {
  const inputTokens = Math.ceil(bytesOfRequest(request) / bytesPerTokenMin);
  const outputTokens = request.settings.maxOutputTokens ?? outputTokensDefault;
  // Writing to a cache is what input costs most for.
  const usage = { inputTokens, outputTokens, cacheWriteInputTokens: inputTokens };
  const dear = [prices.costOf(provider, model, usage), prices.costOf(provider, model, { inputTokens, outputTokens })];
  return { tokens: inputTokens + outputTokens, nanoUsd: nanoUsdOf(Math.max(...dear.map((cost) => cost ?? 0))) };
}

export const usedOf = ({ inputTokens = 0, outputTokens = 0, costUsd = 0 }: UsageSoFar): Amount => ({
  tokens: inputTokens + outputTokens,
  nanoUsd: nanoUsdOf(costUsd),
});
