import type { TokenGrant } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import type { AnswerCache } from '../../../cache/answer-cache.ts';
import { prepareExchanges } from '../../../routing/collaborators.ts';
import { startExchange } from '../../../routing/exchange.ts';
import type { Alias } from '../../../routing/routes.ts';
import { httpProvider } from '../../../transport/provider.ts';
import type { Provider } from '../../../provider/port.ts';
import { providerServerAt, generous } from '../../../test-support/attempt.ts';
import { startModelServer } from '../../../test-support/model-server.ts';
import type { ModelServer } from '../../../test-support/model-server.ts';
import { refusal } from '../error-response.ts';
import type { KeptItems } from '../kept-items.ts';
import { facadeLimits } from '../limits.ts';
import type { Address } from '../listen.ts';
import { startFacade } from '../server.ts';

export const token = 'a-token-of-a-test';
export const grant: TokenGrant = { tenant: 'default', runId: 'raaaaaaaaaaaaaaaa', taskId: 'taaaaaaaaaaaaaaaa' };

/** A façade whose provider `acme` is a local server. It accepts only the exported `token`. */
export type TestFacade = AsyncDisposable & {
  url: string;
  upstream: ModelServer;
  addresses: readonly string[];
  logged: readonly string[];
  stop(): Promise<void>;
};

export async function startTestFacade(
  settings: {
    grant?: TokenGrant;
    addresses?: readonly Address[];
    providers?: readonly Provider[];
    aliases?: readonly Alias[];
    cache?: AnswerCache;
    /** Default: a store that contains no items. */
    items?: Pick<KeptItems, 'keep' | 'named'>;
    drainMs?: number;
    headersMs?: number;
    /** True to retry, and to keep the providers' health between calls. A real gateway does both. Default: false. */
    learns?: boolean;
  } = {},
): Promise<TestFacade> {
  const { drainMs, headersMs, learns = false } = settings;
  const { candidateWaitMsMax, budgetWaitMsMax } = facadeLimits;
  const upstream = await startModelServer();
  const providers = [httpProvider(providerServerAt(upstream.baseUrl), generous), ...(settings.providers ?? [])];
  // By default, no call knows the providers' health from earlier calls, since the tests are about the endpoints.
  const prepare = () =>
    prepareExchanges({
      providers,
      aliases: settings.aliases ?? [],
      retry: learns ? { pauseMsMin: 1, pauseMsMax: 2 } : { attemptsMax: 1 },
      cache: settings.cache ?? null,
    });
  const shared = prepare();
  const exchanges = () => (learns ? shared : prepare());
  const logged: string[] = [];
  const facade = await startFacade(
    {
      log: createLogger('test', { level: 'info', destination: { write: (line) => void logged.push(line) } }),
      tokens: {
        verify: async (received) => {
          if (received !== token) throw refusal('permission-denied', 401, 'the token is not valid');
          return { ...(settings.grant ?? grant), ownerLimits: { task: {}, run: {} }, tokenId: 'token-1' };
        },
      },
      items: settings.items ?? { keep: async () => {}, named: async () => ({ items: [], bytes: 0 }) },
      call: (call) => startExchange(exchanges(), { ...call, candidateWaitMsMax, budgetWaitMsMax }),
      routes: shared.routes,
      models: async () => ['acme/acme-1', 'acme/acme-2'],
    },
    settings.addresses ?? [{ host: '127.0.0.1', port: 0 }],
    { ...(drainMs === undefined ? {} : { drainMs }), ...(headersMs === undefined ? {} : { headersMs }) },
  );
  const stop = async () => {
    await facade.stop();
    await upstream.close();
    await Promise.all(providers.map(async (provider) => provider.close?.()));
  };
  const [url = ''] = facade.addresses;
  return { url, upstream, addresses: facade.addresses, logged, stop: () => facade.stop(), [Symbol.asyncDispose]: stop };
}
