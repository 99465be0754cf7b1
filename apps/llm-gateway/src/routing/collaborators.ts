import type { GatewayHealthNews } from '@coppice/contracts';
import type { AnswerCache } from '../cache/answer-cache.ts';
import type { Budgets } from '../budget/budgets.ts';
import { noPrices } from '../budget/prices.ts';
import type { Prices } from '../budget/prices.ts';
import type { Provider } from '../provider/port.ts';
import { reserveModelLabels } from './attempt-span.ts';
import type { CircuitSettings } from './circuit.ts';
import { Health } from './health.ts';
import { exchangeLimits } from './limits.ts';
import { Queues } from './queues.ts';
import type { RetrySettings } from './retry.ts';
import { Routes } from './routes.ts';
import type { Alias } from './routes.ts';

/** State that all exchanges of a process share. */
export type ExchangeCollaborators = {
  routes: Routes;
  health: Health;
  queues: Queues;
  prices: Prices;
  /** Null if no budgets are counted. */
  budgets: Budgets | null;
  /** Null if no answers are cached. */
  cache: AnswerCache | null;
  retry: RetrySettings;
};

export type ExchangeSettings = {
  providers: readonly Provider[];
  aliases?: readonly Alias[];
  prices?: Prices;
  /**
   * Models that the configuration names outside of aliases, each as `provider/model`. They get their own labels in
   * metrics.
   */
  namedModels?: readonly string[];
  budgets?: Budgets;
  cache?: AnswerCache | null;
  /** Returns the maximum number of concurrent calls at a provider, or null for the default. */
  concurrencyOf?: (provider: string) => number | null;
  retry?: Partial<RetrySettings>;
  breaker?: Partial<CircuitSettings>;
  /** Clock of breakers and cool-downs. Monotonic, in milliseconds. */
  now?: () => number;
  notify?: (news: GatewayHealthNews) => void;
};

export function prepareExchanges(settings: ExchangeSettings): ExchangeCollaborators {
  const { providers, aliases = [], prices = noPrices, concurrencyOf = () => null, notify = () => {} } = settings;
  const { now = () => performance.now() } = settings;
  const { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax, failuresMax, openMs } = exchangeLimits;
  reserveModelLabels([...aliases.flatMap(({ candidates }) => candidates), ...(settings.namedModels ?? [])]);
  return {
    routes: new Routes({ providers, aliases, prices }),
    health: new Health({ failuresMax, openMs, ...settings.breaker, now, notify }),
    queues: new Queues({
      // A provider that isn't a server has no limit.
      concurrencyOf: (name) =>
        providers.find((each) => each.name === name)?.wire === null ? Number.POSITIVE_INFINITY : concurrencyOf(name),
    }),
    prices,
    budgets: settings.budgets ?? null,
    cache: settings.cache ?? null,
    retry: { attemptsMax, pauseMsMin, pauseMsMax, retryAfterMsMax, random: Math.random, ...settings.retry },
  };
}
