import { gatewayLimits } from '../../limits.ts';
import type { Provider } from '../port.ts';
import { headersOf, urlOf } from './endpoint.ts';
import type { OpenAiEndpoint } from './endpoint.ts';
import { providerError } from './errors.ts';
import { HttpFailed, wholeText } from './http.ts';
import type { HttpClient } from './http.ts';
import { openAiLimits } from './limits.ts';
import { jsonOf } from './response.ts';
import { modelListSchema } from './wire.ts';

type Description = Awaited<ReturnType<Provider['describe']>>;

/** Asks for the list of models, which costs nothing. */
export async function describeEndpoint(
  http: HttpClient,
  endpoint: OpenAiEndpoint,
  signal: AbortSignal,
): Promise<Description> {
  const { name, key, keyRequired, baseUrl } = endpoint;
  const known = { host: new URL(baseUrl).host, keyPresent: key !== null };
  if (key === null && keyRequired !== null) {
    return { ...known, reachable: null, models: [], problem: `there is no key: set ${keyRequired}` };
  }
  const unusable = (reachable: boolean, problem: string) => ({ ...known, reachable, models: [], problem });
  try {
    const answer = await http.send(urlOf(endpoint, 'models'), { method: 'GET', headers: headersOf(endpoint), signal });
    const text = await wholeText(answer.body, openAiLimits.wholeBodyBytesMax);
    const { status, headers } = answer;
    const body = text === null ? 'an answer that is too long' : (jsonOf(text) ?? text);
    if (status !== 200)
      return unusable(true, providerError({ provider: name, status, headers, body, secret: key }).message);
    const list = modelListSchema.safeParse(body);
    if (!list.success) return unusable(true, `${name} answered with what is no list of models: is its base URL right?`);
    const models = list.data.data.slice(0, gatewayLimits.describedModelsMax).map(({ id }) => `${name}/${id}`);
    return { ...known, reachable: true, models, problem: null };
  } catch (error) {
    const why = error instanceof HttpFailed ? error.code : 'it did not answer in time';
    return unusable(false, `${known.host} can not be reached: ${why}`);
  }
}
