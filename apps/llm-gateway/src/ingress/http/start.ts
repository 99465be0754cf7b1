import { buckets } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import type { Clock, ServiceContext } from '@coppice/service';
import type { ExchangeCollaborators } from '../../routing/collaborators.ts';
import { startExchange } from '../../routing/exchange.ts';
import { gatewayLimits } from '../../limits.ts';
import { budgetsOf } from '../../budget/budgets-of-account.ts';
import type { TenantLimit } from '../../budget/budgets-of-account.ts';
import type { Provider } from '../../provider/port.ts';
import { limitsOfOwner } from './owner-limits.ts';
import { KeptItems } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import type { Address } from './listen.ts';
import { startFacade } from './server.ts';
import { TokenKeys } from './token-keys.ts';
import { Tokens } from './tokens.ts';

export type HttpEndpoints = {
  /** Base URLs for clients. */
  addresses: readonly string[];
  mint(grant: TokenGrant, ttlMs: number): Promise<{ token: string; expiresAt: string; addresses: string[] }>;
  stop(): Promise<void>;
};

type EndpointCollaborators = { exchange: ExchangeCollaborators; tenantLimits: readonly TenantLimit[]; clock: Clock };

/** Tokens are valid at all gateways. So a gateway without an address creates tokens, too. */
export async function startHttpEndpoints(
  { bus, log }: Pick<ServiceContext, 'bus' | 'log'>,
  { exchange, tenantLimits, clock }: EndpointCollaborators,
  addresses: readonly Address[],
): Promise<HttpEndpoints> {
  const { routes } = exchange;
  const keys = new TokenKeys(bus.keyValue(buckets.gatewayKeys));
  const tokens = new Tokens(keys);
  const models = new ModelList(routes.providers);
  const facade = await startFacade(
    {
      tokens,
      log,
      items: new KeptItems(bus.keyValue(buckets.llmItems), log),
      call: (call, { tokenId, limits, ownerLimits }) => {
        const token = { id: tokenId, limits: limits ?? {} };
        const account = { owner: call.context.owner, limits: ownerLimits, token };
        const budgets = budgetsOf(account, tenantLimits, clock.now());
        const { candidateWaitMsMax, budgetWaitMsMax } = facadeLimits;
        return startExchange(exchange, { ...call, budgets, candidateWaitMsMax, budgetWaitMsMax });
      },
      routes,
      models: async () => [...routes.aliases.map(({ name }) => name), ...(await models.read())],
    },
    addresses,
  );
  if (facade.addresses.length > 0) log.info({ addresses: facade.addresses }, 'HTTP endpoints');
  return {
    addresses: facade.addresses,
    mint: async (grant, ttlMs) => {
      const ownerLimits = await limitsOfOwner(bus, grant);
      return { ...(await tokens.mint({ grant, ownerLimits }, ttlMs)), addresses: [...facade.addresses] };
    },
    stop: async () => {
      await facade.stop();
      keys.stop();
    },
  };
}

/** The models that the providers report. The list is cached for `modelsMsMax`. */
class ModelList {
  readonly #providers: readonly Provider[];
  #list: Promise<string[]> | null = null;
  #readAtMs = 0;

  constructor(providers: readonly Provider[]) {
    this.#providers = providers;
  }

  read(): Promise<string[]> {
    if (this.#list === null || performance.now() - this.#readAtMs > facadeLimits.modelsMsMax) {
      this.#readAtMs = performance.now();
      this.#list = this.#readAll();
    }
    return this.#list;
  }

  async #readAll(): Promise<string[]> {
    const signal = AbortSignal.timeout(gatewayLimits.describeMsMax);
    const described = await Promise.all(
      this.#providers.map((provider) => provider.describe(signal, facadeLimits.modelsMax)),
    );
    return described.flatMap(({ models }) => models);
  }
}
