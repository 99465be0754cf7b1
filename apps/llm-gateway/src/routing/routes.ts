/** The providers that may answer for a model name, in order. */
import { CoppiceError } from '@coppice/contracts';
import type { Prices } from '../budget/prices.ts';
import type { Provider, UsageSoFar } from '../provider/port.ts';

export type Route = { provider: Provider; model: string };

/** A model name and its routes. The gateway resolves a name once, when the request arrives. */
export type ResolvedModel = {
  /** Name in the request, either `provider/model` or an alias. */
  name: string;
  /** At least one. */
  routes: readonly Route[];
};

export type Alias = {
  name: string;
  /** Models, each as `provider/model`. */
  candidates: readonly string[];
  /**
   * `order` uses the configured order. `price` puts the cheapest candidate first, and candidates without a known price
   * last.
   */
  strategy: 'order' | 'price';
};

/** Usage for the comparison of prices. It has more input than output, since agents read far more than they write. */
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

  knows(name: string): boolean {
    return this.#find(name).length > 0;
  }

  /** @throws CoppiceError `model-not-found`. */
  resolve(name: string): ResolvedModel {
    const routes = this.#find(name);
    if (routes.length === 0) throw this.#notFound(name);
    return { name, routes };
  }

  /** Adds the provider to a name that has none, since the vendor's clients omit it. An alias stays unchanged. */
  fullName(name: string, provider: string): string {
    // `fast@acme` belongs to the alias `fast`, even if the alias has no provider `acme`.
    const isAlias = this.knows(name) || this.knows(name.split('@')[0] ?? '');
    return isAlias || name.includes('/') ? name : `${provider}/${name}`;
  }

  /** Returns an empty list if no provider may answer. */
  #find(name: string): readonly Route[] {
    const named = this.#aliasOf(name);
    if (named === null) return this.#ofProvider(name);
    const routes = this.#ordered(named.alias);
    const { preferred } = named;
    if (preferred === null) return routes;
    const first = routes.filter(({ provider }) => provider.name === preferred);
    return first.length === 0 ? first : [...first, ...routes.filter((route) => !first.includes(route))];
  }

  /** Splits `fast@acme` into the alias `fast` and the preferred provider `acme`. The provider is optional. */
  #aliasOf(name: string): { alias: Alias; preferred: string | null } | null {
    if (name.includes('/')) return null;
    const at = name.indexOf('@');
    const aliasName = at === -1 ? name : name.slice(0, at);
    const alias = this.#settings.aliases.find((each) => each.name === aliasName);
    if (alias === undefined) return null;
    const preferred = at === -1 ? null : name.slice(at + 1);
    return preferred === '' || preferred?.includes('@') === true ? null : { alias, preferred };
  }

  #ordered({ candidates, strategy }: Alias): Route[] {
    const routes = candidates.flatMap((candidate) => this.#ofProvider(candidate));
    if (strategy === 'order') return routes;
    const price = ({ provider, model }: Route) =>
      this.#settings.prices.costOf(provider.name, model, typicalCall) ?? Number.POSITIVE_INFINITY;
    // Equal prices must be compared first, since the difference of two infinite prices is NaN.
    return routes.toSorted((one, other) => (price(one) === price(other) ? 0 : price(one) - price(other)));
  }

  #ofProvider(name: string): Route[] {
    const slash = name.indexOf('/');
    if (slash === -1 || slash === name.length - 1) return [];
    const providerName = name.slice(0, slash);
    const provider = this.#settings.providers.find((known) => known.name === providerName);
    return provider === undefined ? [] : [{ provider, model: name.slice(slash + 1) }];
  }

  #notFound(name: string): CoppiceError {
    const { providers, aliases } = this.#settings;
    const named = this.#aliasOf(name);
    if (named !== null) {
      const known = [...new Set(this.#ordered(named.alias).map(({ provider }) => provider.name))].join(', ');
      return notFound(name, `${named.alias.name}@ with one of the alias's providers ${known}`);
    }
    const known = providers.map((each) => each.name).join(', ');
    const orAlias =
      aliases.length === 0
        ? ' (no alias is configured: aliases are in the file that COPPICE_GATEWAY_CONFIG names)'
        : `, or one of the aliases ${aliases.map((each) => each.name).join(', ')}`;
    return notFound(name, `provider/model with one of the providers ${known}${orAlias}`);
  }
}

const notFound = (name: string, expected: string): CoppiceError =>
  new CoppiceError('model-not-found', `model ${JSON.stringify(name)}: expected ${expected}`);
