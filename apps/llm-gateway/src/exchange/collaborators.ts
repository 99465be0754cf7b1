import { gatewayLimits } from '../limits.ts';
import type { Provider } from '../provider/port.ts';
import type { RetrySettings } from './retry.ts';

/** What all exchanges of a process share. */
export type ExchangeCollaborators = { providers: readonly Provider[]; retry: RetrySettings };

export type ExchangeSettings = { providers: readonly Provider[]; retry?: Partial<RetrySettings> };

export function prepareExchanges({ providers, retry }: ExchangeSettings): ExchangeCollaborators {
  const { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax } = gatewayLimits;
  return {
    providers,
    retry: { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax, random: Math.random, ...retry },
  };
}
