/** Chooses the demo's model: the scripted one, or a real one on request. */
import { vendors } from '@coppice/contracts';
import { findLocalServers, localServerNames } from '../local-models.ts';
import type { LocalServer } from '../local-models.ts';

export type DemoModel = {
  /** `provider/model`. */
  name: string;
  isScripted: boolean;
  /** Variables that the stack needs for the model, in addition to the user's environment. */
  environment: NodeJS.ProcessEnv;
  /** Text for the user on where the model is; null for the scripted model. */
  where: string | null;
};

const scriptedModel: DemoModel = {
  name: 'scripted/script.yaml',
  isScripted: true,
  environment: {},
  where: null,
};

const {
  address: { variable: addressVariable },
  key: {
    variables: [keyVariable],
  },
} = vendors.openai;

const isSet = (environment: NodeJS.ProcessEnv, name: string): boolean => (environment[name] ?? '') !== '';

/** @returns the model; if it isn't available, a text that says why */
export async function chooseModel(
  options: { provider?: string | undefined; model?: string | undefined },
  environment: NodeJS.ProcessEnv,
): Promise<DemoModel | string> {
  const provider = options.provider ?? environment['COPPICE_DEMO_PROVIDER'] ?? '';
  const model = options.model ?? environment['COPPICE_DEMO_MODEL'] ?? '';
  if (provider === '' || provider === 'scripted')
    return model === '' ? scriptedModel : '--model needs --provider: openai, or a model server on this machine';
  const named = `--provider ${provider}`;
  if (provider === 'openai') {
    if (
      !isSet(environment, keyVariable) &&
      !isSet(environment, `${keyVariable}_FILE`) &&
      !isSet(environment, addressVariable)
    )
      return `${named}: there is no key; set ${keyVariable} (or ${addressVariable} for a server without one)`;
    if (model === '') return `${named}: say which model, with --model`;
    const base = environment[addressVariable] ?? '';
    return {
      name: `openai/${model}`,
      isScripted: false,
      environment: {},
      where: base === '' ? 'by its key' : `at ${hostOf(base)}`,
    };
  }
  const listed = environment['COPPICE_OPENAI_PROVIDERS'] ?? '';
  if (listed.split(',').some((entry) => entry.trim().startsWith(`${provider}=`))) {
    if (model === '') return `${named}: say which model, with --model`;
    return { name: `${provider}/${model}`, isScripted: false, environment: {}, where: 'by COPPICE_OPENAI_PROVIDERS' };
  }
  const servers = await findLocalServers();
  const server = servers.find(({ name }) => name === provider);
  return server === undefined ? notFound(provider, servers) : ofServer(server, model, listed);
}

function ofServer({ name, host, baseUrl, models }: LocalServer, requested: string, listed: string): DemoModel | string {
  const model = requested === '' ? models[0] : requested;
  if (model === undefined) return `--provider ${name}: the server at ${host} has no model; load one`;
  const providers = [listed, `${name}=${baseUrl}`].filter((entry) => entry !== '').join(',');
  return {
    name: `${name}/${model}`,
    isScripted: false,
    environment: { COPPICE_OPENAI_PROVIDERS: providers },
    where: `at ${host}`,
  };
}

function notFound(provider: string, servers: readonly LocalServer[]): string {
  const found = servers.length === 0 ? 'none answers here' : `here: ${servers.map(({ name }) => name).join(', ')}`;
  return `--provider ${provider}: expected openai, a name from COPPICE_OPENAI_PROVIDERS, or a server on this machine (${localServerNames.join(', ')}; ${found})`;
}

const hostOf = (address: string): string => (URL.canParse(address) ? new URL(address).host : addressVariable);
