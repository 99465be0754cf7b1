/** Checks the model providers of the stack's gateway, and the model servers on this machine. */
import { CoppiceError, gatewayCalls, keyVariablesIn, vendors } from '@coppice/contracts';
import type { ModelProvider, Vendor, VendorRegistry } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { findLocalServers } from '../local-models.ts';
import type { LocalServer } from '../local-models.ts';
import { CliError } from '../errors.ts';
import { modelsIn } from '../stack/gateway-environment.ts';
import { fault, ok, restart, warning } from './check.ts';
import type { Check } from './check.ts';
import { checkEndpoints, checkFile, endpointsToOpen, fileToRead } from './gateway.ts';
import type { GatewaySettings } from './gateway.ts';

const modelsShownMax = 5;
/** Variables with the API keys, by provider. */
const keyVariables = keyVariablesIn(vendors);

/** @param client client of the stack; null if no stack answers */
export async function checkProviders(client: ApiClient | null, environment: NodeJS.ProcessEnv): Promise<Check[]> {
  const [known, local] = await Promise.all([client === null ? null : ofGateway(client), findLocalServers()]);
  if (known?.isHidden === true) return [ok('models', "a tenant's user can't list them")];
  const fromStack = known?.providers ?? null;
  const here = fromStack === null ? await fromEnvironment(environment) : null;
  const checks = here?.checks ?? fromStack?.map(ofProvider) ?? [];
  if (known?.settings !== undefined)
    checks.unshift(...(await checkFile(known.settings, environment)), ...checkEndpoints(known.settings, environment));
  // A reachable provider may answer model calls even if it returned no list of models.
  const unreachable = fromStack?.filter(({ problem, reachable }) => problem !== null && reachable !== true) ?? [];
  const unavailable = new Set(unreachable.map(({ name }) => name));
  checks.push(...(known?.aliases ?? []).map((alias) => ofAlias(alias, unavailable)));
  if (known !== null && known.problem !== null)
    checks.push(warning('models', known.problem, 'coppice down, coppice up'));
  checks.push(...local.flatMap((server) => ofLocalServer(server, fromStack, environment)));
  if (fromStack !== null) checks.push(...unreadKeys(fromStack, environment));
  const found = here?.usable ?? fromStack?.some(({ name, problem }) => name !== 'scripted' && problem === null);
  if (found !== true && local.length === 0) {
    checks.push(warning('models', 'no model but the scripted one can be used', howToGetModels(vendors)));
  }
  return checks;
}

/** Returns the advice for a stack without models. */
export function howToGetModels(registry: VendorRegistry): string {
  const settings = Object.values(registry).flatMap(({ key, keyNote }) =>
    key === undefined ? [] : [[key.variables[0], keyNote].filter((text) => text !== undefined).join(' ')],
  );
  return `set ${settings.join(', or ')}, or start Ollama, LM Studio or llama.cpp here`;
}

type Alias = { name: string; candidates: readonly string[]; strategy: string };
type OfGateway = {
  providers: ModelProvider[] | null;
  aliases?: Alias[];
  settings?: GatewaySettings;
  problem: string | null;
  isHidden?: boolean;
};

/** @param unavailable names of the providers that can't be reached */
function ofAlias({ name, candidates, strategy }: Alias, unavailable: ReadonlySet<string>): Check {
  const check = `model alias ${name}`;
  const listed = `${candidates.join(', ')}${strategy === 'price' ? ', the cheapest first' : ''}`;
  const left = candidates.filter((candidate) => !unavailable.has(candidate.split('/')[0] ?? ''));
  if (left.length === candidates.length) return ok(check, listed);
  if (left.length > 0) return ok(check, `${listed}; available now: ${left.join(', ')}`);
  return warning(check, `${listed}: none of them is available`, `set up one of these providers; ${restart}`);
}

async function ofGateway(client: ApiClient): Promise<OfGateway> {
  try {
    const { providers, aliases, ...settings } = await client.bus.call(
      gatewayCalls.providers,
      { service: 'llm-gateway' },
      {},
    );
    return { providers, aliases, settings, problem: null };
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    if (error.code === 'permission-denied') return { providers: null, problem: null, isHidden: true };
    return { providers: null, problem: `the gateway doesn't report its providers: ${error.message}` };
  }
}

export function ofProvider(provider: ModelProvider): Check {
  const { name, host, models, problem, keyPresent } = provider;
  const check = `model provider ${name}`;
  if (name === 'scripted') return ok(check, ofScripts(provider));
  const where = host === null ? '' : ` at ${host}`;
  const listed = models.length === 0 ? '' : `: ${listOf(models)}`;
  if (problem === null) return ok(check, `can be used${where}${listed}`);
  // Not a warning, since the user may work with another provider.
  if (!keyPresent && missesOwnKey(name, problem)) return ok(check, `not set up (${problem})`);
  return warning(check, problem, `start that server, or correct its address or key; ${restart}`);
}

/** Describes the scripted provider. Its problems aren't warnings, since this provider is only for demos and tests. */
function ofScripts({ problem, scriptFolders }: ModelProvider): string {
  if (problem !== null) return `not set up (${problem})`;
  if (scriptFolders === undefined) return "plays any script of the stack's machine, by its path";
  return `plays the scripts in ${scriptFolders.join(', ')} on the gateway's machine`;
}

/** True if the vendor's usual key variable is missing. False if the gateway's file names another variable. */
const missesOwnKey = (provider: string, problem: string): boolean =>
  problem.endsWith(`: set ${keyVariables.get(provider)}`);

const listOf = (models: readonly string[]): string =>
  models.slice(0, modelsShownMax).join(', ') + (models.length > modelsShownMax ? ', …' : '');

/** Checks the providers that a stack would have if the user started it now. Sends no network requests. */
async function fromEnvironment(environment: NodeJS.ProcessEnv): Promise<{ checks: Check[]; usable: boolean }> {
  const checks = [ok('model provider scripted', 'plays a script; for demos and tests')];
  try {
    const { providerServers = [], aliases = [], file } = await modelsIn(environment);
    checks.unshift(...fileToRead(file), ...endpointsToOpen(environment));
    for (const { name, baseUrl, key, keyRequired } of providerServers) {
      const { host } = new URL(baseUrl);
      const check = `model provider ${name}`;
      const missing = key === null && keyRequired !== null ? `there is no key: set ${keyRequired}` : null;
      const withKey = key === null ? 'without a key' : 'with a key';
      if (missing === null)
        checks.push(ok(check, `at ${host}, ${withKey}; whether it answers is checked when a stack runs`));
      else if (missesOwnKey(name, missing)) checks.push(ok(check, `not set up (${missing})`));
      else checks.push(warning(check, missing, "set it, or take the provider out of the gateway's file"));
    }
    const keyless = providerServers.filter(({ key, keyRequired }) => key === null && keyRequired !== null);
    const unavailable = new Set(keyless.map(({ name }) => name));
    checks.push(...aliases.map((alias) => ofAlias(alias, unavailable)));
    return { checks, usable: providerServers.some(({ key, keyRequired }) => key !== null || keyRequired === null) };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    checks.push(
      fault('model providers', error.message, 'correct it, or unset the variable: a stack does not start with it'),
    );
    return { checks, usable: false };
  }
}

function unreadKeys(providers: readonly ModelProvider[], environment: NodeJS.ProcessEnv): Check[] {
  return [...keyVariables]
    .filter(([vendor, variable]) => {
      const known = providers.find(({ name }) => name === vendor);
      return (environment[variable] ?? '') !== '' && known?.keyPresent !== true;
    })
    .map(([vendor, variable]) =>
      warning(`model provider ${vendor}`, `${variable} is set here, but the stack that runs has no key`, restart),
    );
}

function ofLocalServer(
  { name, host, baseUrl, models }: LocalServer,
  known: readonly ModelProvider[] | null,
  environment: NodeJS.ProcessEnv,
): Check[] {
  // This server was already reported as a provider.
  if (known?.some((provider) => provider.host !== null && samePort(provider.host, host)) === true) return [];
  const found = `a model server answers at ${host}: ${models.length === 0 ? 'without a model' : listOf(models)}`;
  const described = Object.values<Vendor>(vendors);
  const addresses = ['COPPICE_OPENAI_PROVIDERS', ...described.map(({ address }) => address.variable)];
  const setUp = addresses.some((variable) => environment[variable]?.includes(host));
  if (setUp && known === null) return [ok(`model server ${name}`, found)];
  const model = models[0] ?? 'MODEL';
  const own = described.find(({ providers, address }) => name in providers && address.form === 'host')?.address
    .variable;
  const setting = own === undefined ? `COPPICE_OPENAI_PROVIDERS=${name}=${baseUrl}` : `${own}=${host}`;
  const fix = `to use it: export ${setting}, then --model ${name}/${model}; ${restart}`;
  return [{ ...ok(`model server ${name}`, found), fix }];
}

const samePort = (one: string, other: string): boolean =>
  one.replace(/^localhost:/, '127.0.0.1:') === other.replace(/^localhost:/, '127.0.0.1:');
