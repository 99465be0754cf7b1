import { serveCommands, serviceEndpoint } from '@coppice/bus';
import { anyPool, buckets, gatewayCalls } from '@coppice/contracts';
import type { ModelProvider } from '@coppice/contracts';
import type { RunningWork, ServiceContext } from '@coppice/service';
import { Artifacts } from './artifacts.ts';
import { AnswerCache } from './cache/answer-cache.ts';
import type { CacheSettings } from './cache/answer-cache.ts';
import { Conversations } from './ingress/turn/conversations.ts';
import { startBusEndpoint } from './ingress/bus/start.ts';
import type { BusEndpointSettings } from './ingress/bus/start.ts';
import type { Address } from './ingress/http/listen.ts';
import { startHttpEndpoints } from './ingress/http/start.ts';
import type { CircuitSettings } from './routing/circuit.ts';
import { prepareExchanges } from './routing/collaborators.ts';
import type { ExchangeCollaborators } from './routing/collaborators.ts';
import { observeExchanges } from './routing/gauges.ts';
import { HealthSharing } from './routing/health-sharing.ts';
import type { RetrySettings } from './routing/retry.ts';
import type { Alias } from './routing/routes.ts';
import { gatewayLimits } from './limits.ts';
import { checkModels } from './routing/check-models.ts';
import { inUsd } from './budget/amount.ts';
import { Budgets } from './budget/budgets.ts';
import { pricesFrom } from './budget/prices.ts';
import type { OwnPrice } from './budget/prices.ts';
import { budgetsOf } from './budget/budgets-of-account.ts';
import type { TenantLimit } from './budget/budgets-of-account.ts';
import type { ProviderServer } from './transport/provider-server.ts';
import { halfReadRoom } from './transport/partial-answers.ts';
import { httpProvider } from './transport/provider.ts';
import type { PatienceLimits } from './transport/time-limits.ts';
import type { Provider } from './provider/port.ts';
import { countInFile, countInMemory } from './provider/scripted/count.ts';
import { scriptedProvider } from './provider/scripted/provider.ts';
import { Transcript } from './ingress/turn/transcript.ts';
import { turnHandler } from './ingress/turn/turn.ts';
import type { TurnPoint } from './ingress/turn/turn.ts';

export type LlmGatewayOptions = {
  /** Absolute paths of folders with scripts for the `scripted` provider. */
  scriptFolders?: readonly string[];
  /**
   * True if a request may name a script by its absolute path. This is safe only if everyone who submits tasks owns the
   * machine.
   */
  scriptsAnywhere?: boolean;
  /** File in which the scripted model counts its requests. Default: it counts in memory. */
  scriptedCountFile?: string;
  /** Maximum number of concurrent model calls. Default: `gatewayLimits.concurrency`. */
  concurrency?: number;
  /**
   * Configuration file from which the options were read. The gateway reports it to clients, which check whether the
   * file has changed.
   */
  file?: { path: string; sha256: string };
  providerServers?: readonly ProviderServer[];
  providers?: readonly Provider[];
  aliases?: readonly Alias[];
  /** Configured prices, which take precedence over the price list. */
  prices?: readonly OwnPrice[];
  tenantLimits?: readonly TenantLimit[];
  /** Settings of the answer cache. Default: no answer is cached. */
  cache?: CacheSettings;
  /** Time limits of answers. */
  patience?: Partial<PatienceLimits>;
  retry?: Partial<RetrySettings>;
  /** Addresses of the HTTP endpoints. Default: none. */
  httpAddresses?: readonly Address[];
  chats?: BusEndpointSettings;
  breaker?: Partial<CircuitSettings>;
  /** Lets a test kill the process at each point of a model call. */
  onPoint?: (point: TurnPoint) => Promise<void>;
};

/** `httpAddresses` contains the base URLs of the HTTP endpoints. An address may also be `unix:PATH`. */
export type LlmGateway = RunningWork & { httpAddresses: readonly string[] };

/** Starts the gateway. `runService` or `startService` call this function and provide the context. */
export async function startLlmGateway(context: ServiceContext, options: LlmGatewayOptions = {}): Promise<LlmGateway> {
  const { bus, clock } = context;
  const scripted = scriptedProvider({
    scripts: { folders: options.scriptFolders ?? [], anywhere: options.scriptsAnywhere ?? false },
    count: options.scriptedCountFile === undefined ? countInMemory() : countInFile(options.scriptedCountFile),
    clock,
  });
  const transcript = new Transcript(bus);
  const artifacts = new Artifacts(bus);
  const halfRead = halfReadRoom();
  const overHttp = (options.providerServers ?? []).map((providerServer) =>
    httpProvider(providerServer, options.patience, halfRead),
  );
  const providers = [scripted, ...overHttp, ...(options.providers ?? [])];
  const providerServerOf = (name: string) =>
    options.providerServers?.find((providerServer) => providerServer.name === name);
  const sharing = new HealthSharing(bus, context.member.id);
  const budgets = new Budgets(bus, context.member.id);
  const cache = options.cache === undefined ? null : new AnswerCache(bus.keyValue(buckets.llmCache), options.cache);
  const tenantLimits = options.tenantLimits ?? [];
  const exchange = prepareExchanges({
    ...options,
    providers,
    budgets,
    cache,
    prices: pricesFrom({ own: options.prices ?? [], baseUrlOf: (name) => providerServerOf(name)?.baseUrl ?? null }),
    namedModels: (options.prices ?? []).map(({ model }) => model).filter((model) => !model.includes('*')),
    concurrencyOf: (name) => providerServerOf(name)?.concurrency ?? null,
    notify: (news) => sharing.publish(news),
  });
  const endings = [sharing.subscribe((news) => exchange.health.learn(news)), observeExchanges(exchange)];
  const turn = turnHandler({
    exchange,
    transcript,
    conversations: new Conversations(transcript, artifacts),
    artifacts,
    clock,
    tenantLimits,
    onPoint: options.onPoint ?? (async () => {}),
  });
  const endpoints = await startHttpEndpoints(context, { exchange, tenantLimits, clock }, options.httpAddresses ?? []);
  const chats = await startBusEndpoint(context, { exchange, artifacts, tenantLimits, clock }, options.chats);
  const calls = await serveCalls(context, { options, providers, exchange, budgets, endpoints });
  const commands = await serveCommands(bus, {
    service: 'llm-gateway',
    pools: [anyPool],
    concurrency: options.concurrency ?? gatewayLimits.concurrency,
    member: context.member,
    handlers: [turn],
  });
  return {
    httpAddresses: endpoints.addresses,
    stop: async () => {
      await Promise.all([commands.stop(), endpoints.stop(), chats.stop()]);
      await calls.stop();
      for (const end of endings) end();
      await Promise.all([budgets.stop(), cache?.stop()]);
      await Promise.all(providers.map(async (provider) => provider.close?.()));
    },
  };
}

type CallParts = {
  options: LlmGatewayOptions;
  providers: readonly Provider[];
  exchange: ExchangeCollaborators;
  budgets: Budgets;
  endpoints: Awaited<ReturnType<typeof startHttpEndpoints>>;
};

function serveCalls({ bus, version, clock }: ServiceContext, parts: CallParts) {
  const { options, providers, exchange, budgets, endpoints } = parts;
  return bus.serve({
    name: 'llm-gateway',
    version,
    description: 'Requests to the gateway itself. Model calls of agents are commands.',
    endpoints: [
      serviceEndpoint('llm-gateway', gatewayCalls.providers, async () => ({
        providers: await describeProviders(providers),
        aliases: exchange.routes.aliases.map(({ name, candidates, strategy }) => ({
          name,
          candidates: [...candidates],
          strategy,
        })),
        httpAddresses: [...endpoints.addresses],
        file: options.file ?? null,
      })),
      serviceEndpoint('llm-gateway', gatewayCalls.checkModels, async ({ models }) => ({
        problems: await checkModels(exchange.routes, models),
      })),
      serviceEndpoint('llm-gateway', gatewayCalls.mintToken, ({ grant, ttlMs }) => endpoints.mint(grant, ttlMs)),
      serviceEndpoint('llm-gateway', gatewayCalls.budgets, async (account) => {
        const found = await budgets.look(budgetsOf(account, options.tenantLimits ?? [], clock.now()));
        return {
          budgets: found.map(({ budget: { name, limit }, used, reserved }) => ({
            name,
            limit,
            used: inUsd(used),
            reserved: inUsd(reserved),
          })),
        };
      }),
    ],
  });
}

async function describeProviders(providers: readonly Provider[]): Promise<ModelProvider[]> {
  const signal = AbortSignal.timeout(gatewayLimits.describeMsMax);
  const describe = async (provider: Provider) => ({ name: provider.name, ...(await provider.describe(signal)) });
  return Promise.all(providers.map(describe));
}
