import { gatewayLimits } from '../limits.ts';
import type { Provider } from '../provider/port.ts';
import { HttpFailed, wholeText } from './client.ts';
import type { HttpClient } from './client.ts';
import { addressOf, headersOf } from './provider-server.ts';
import type { ProviderServer } from './provider-server.ts';
import { providerError } from './errors.ts';
import { jsonOf } from './json.ts';
import { httpLimits } from './limits.ts';

type Description = Awaited<ReturnType<Provider['describe']>>;

/** Checks whether the server is usable. Requests its list of models, which costs nothing. */
export async function describeServer(
  http: HttpClient,
  providerServer: ProviderServer,
  signal: AbortSignal,
  modelsMax: number = gatewayLimits.describedModelsMax,
): Promise<Description> {
  const { name, wire, key, keyRequired, baseUrl } = providerServer;
  const known = { host: new URL(baseUrl).host, keyPresent: key !== null };
  if (key === null && keyRequired !== null) {
    return { ...known, reachable: null, models: [], problem: `there is no key: set ${keyRequired}` };
  }
  const unusable = (reachable: boolean, problem: string) => ({ ...known, reachable, models: [], problem });
  try {
    const address = addressOf(providerServer, wire.models.path);
    const answer = await http.send(address, { method: 'GET', headers: headersOf(providerServer), signal });
    const text = await wholeText(answer.body, httpLimits.wholeBodyBytesMax);
    const { status, headers } = answer;
    const body = text === null ? 'an answer that is too long' : (jsonOf(text) ?? text);
    if (status !== 200)
      return unusable(true, providerError({ provider: name, status, headers, body, secret: key }).message);
    const models = wire.models.names(body);
    if (models === null)
      return unusable(true, `${name} answered with what is no list of models: is its base URL right?`);
    const some = models.slice(0, modelsMax).map((model) => `${name}/${model}`);
    return { ...known, reachable: true, models: some, problem: null };
  } catch (error) {
    const why = error instanceof HttpFailed ? error.code : 'it did not answer in time';
    return unusable(false, `${known.host} can not be reached: ${why}`);
  }
}
