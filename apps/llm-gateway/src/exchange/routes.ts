/** Which providers may answer to a model's name, in which order. */
import { CoppiceError } from '@coppice/contracts';
import type { Prices } from '../money/prices.ts';
import type { Provider, UsageSoFar } from '../provider/port.ts';

export type Route = { provider: Provider; model: string };

export type Alias = {
  name: string;
  /** Each `provider/model`. */
  candidates: readonly string[];
  /** `order`: as they stand there; `price`: the cheapest first, those without a known price last. */
  strategy: 'order' | 'price';
};

/** What names an alias, and a provider that is preferred: `fast`, `fast@acme`. */
const aliasPattern = /^(?<alias>[^/@]+)(?:@(?<preferred>[^/@]+))?$/;

/** What prices are compared by: agents read far more than they write. */
const typicalCall: UsageSoFar = { inputTokens: 10_000, outputTokens: 1_000 };

export type RoutesSettings = {
  providers: readonly Provider[];
  aliases: readonly Alias[];
  prices: Prices;
};

export class Routes {
  readonly #settings: RoutesSettings;

  constructor(settings: RoutesSettings) {
    this.#settings = settings;
  }

  get aliases(): readonly Alias[] {
    return this.#settings.aliases;
  }

  get providers(): readonly Provider[] {
    return this.#settings.providers;
  }

  /** Whether somebody may answer to the name. */
  knows(name: string): boolean {
    try {
      return this.of(name).length > 0;
    } catch (error) {
      if (error instanceof CoppiceError) return false;
      throw error;
    }
  }

  /** At least one. @throws CoppiceError `model-not-found`. */
  of(name: string): Route[] {
    const { alias: aliasName, preferred } = aliasPattern.exec(name)?.groups ?? {};
    const alias = this.#settings.aliases.find((each) => each.name === aliasName);
    if (alias === undefined) return [this.#route(name)];
    const routes = this.#ordered(alias);
    if (preferred === undefined) return routes;
    const first = routes.filter(({ provider }) => provider.name === preferred);
    if (first.length > 0) return [...first, ...routes.filter((route) => !first.includes(route))];
    const known = [...new Set(routes.map(({ provider }) => provider.name))].join(', ');
    throw notFound(name, `${alias.name}@ with one of the alias's providers ${known}`);
  }

  #ordered({ candidates, strategy }: Alias): Route[] {
    const routes = candidates.map((candidate) => this.#route(candidate));
    if (strategy === 'order') return routes;
    const price = ({ provider, model }: Route) =>
      this.#settings.prices.costOf(provider.name, model, typicalCall) ?? Number.POSITIVE_INFINITY;
    // Infinity minus Infinity is no number; two unknown prices stay in their order.
    return routes.toSorted((one, other) => (price(one) === price(other) ? 0 : price(one) - price(other)));
  }

  #route(name: string): Route {
    const { providers, aliases } = this.#settings;
    const slash = name.indexOf('/');
    const provider = slash === -1 ? undefined : providers.find((known) => known.name === name.slice(0, slash));
    const model = name.slice(slash + 1);
    if (provider !== undefined && model !== '') return { provider, model };
    const known = providers.map((each) => each.name).join(', ');
    const orAlias =
      aliases.length === 0
        ? ' (no alias is configured: the file that COPPICE_GATEWAY_CONFIG names has them)'
        : `, or one of the aliases ${aliases.map((each) => each.name).join(', ')}`;
    throw notFound(name, `provider/model with one of the providers ${known}${orAlias}`);
  }
}

const notFound = (name: string, expected: string): CoppiceError =>
  new CoppiceError('model-not-found', `model ${JSON.stringify(name)}: expected ${expected}`);
