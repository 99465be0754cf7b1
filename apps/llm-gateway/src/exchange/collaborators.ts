import type { GatewayHealthNews } from '@coppice/contracts';
import type { AnswerCache } from '../cache/answer-cache.ts';
import { gatewayLimits } from '../limits.ts';
import type { Budgets } from '../money/budgets.ts';
import { noPrices } from '../money/prices.ts';
import type { Prices } from '../money/prices.ts';
import type { Provider } from '../provider/port.ts';
import { reserveModelLabels } from './attempt-span.ts';
import type { CircuitSettings } from './circuit.ts';
import { Health } from './health.ts';
import { exchangeLimits } from './limits.ts';
import { Queues } from './queues.ts';
import type { RetrySettings } from './retry.ts';
import { Routes } from './routes.ts';
import type { Alias } from './routes.ts';

/** What all exchanges of a process share. */
export type ExchangeCollaborators = {
  routes: Routes;
  health: Health;
  queues: Queues;
  prices: Prices;
  /** Null where nobody counts. */
  budgets: Budgets | null;
  /** Null where no answer is kept. */
  cache: AnswerCache | null;
  retry: RetrySettings;
};

export type ExchangeSettings = {
  providers: readonly Provider[];
  aliases?: readonly Alias[];
  prices?: Prices;
  /** Models that the configuration names beside the candidates of aliases, each `provider/model`: metrics name them, too. */
  namedModels?: readonly string[];
  budgets?: Budgets;
  cache?: AnswerCache | null;
  /** Calls at a provider at once; null for the default. */
  concurrencyOf?: (provider: string) => number | null;
  retry?: Partial<RetrySettings>;
  breaker?: Partial<CircuitSettings>;
  /** By which breakers and cool-downs count, in milliseconds; it never goes back. */
  now?: () => number;
  /** Tells the other instances. */
  tell?: (news: GatewayHealthNews) => void;
};

export function prepareExchanges(settings: ExchangeSettings): ExchangeCollaborators {
  const { providers, aliases = [], prices = noPrices, concurrencyOf = () => null, tell = () => {} } = settings;
  const { now = () => performance.now() } = settings;
  const { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax } = gatewayLimits;
  const { failuresMax, openMs } = exchangeLimits;
  reserveModelLabels([...aliases.flatMap(({ candidates }) => candidates), ...(settings.namedModels ?? [])]);
  return {
    routes: new Routes({ providers, aliases, prices }),
    health: new Health({ failuresMax, openMs, ...settings.breaker, now, tell }),
    queues: new Queues({
      // One that is asked over no network has no limit that calls could meet there.
      concurrencyOf: (name) =>
        providers.find((each) => each.name === name)?.wire === null ? Number.POSITIVE_INFINITY : concurrencyOf(name),
    }),
    prices,
    budgets: settings.budgets ?? null,
    cache: settings.cache ?? null,
    retry: { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax, random: Math.random, ...settings.retry },
  };
}
