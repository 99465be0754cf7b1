import { ConfigurationError } from '@coppice/service';
import { isVendorVariable, vendors } from '@coppice/contracts';
import type { VendorRegistry } from '@coppice/contracts';
import type { LlmGatewayOptions } from '@coppice/llm-gateway';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

/** True for a variable that only the gateway gets. */
export const isOfTheGateway = (name: string, registry: VendorRegistry = vendors): boolean =>
  /^COPPICE_(OPENAI|GATEWAY)_/.test(name) || isVendorVariable(name, registry);

/**
 * Removes the gateway's variables, including API keys, from an environment and returns them. So the programs that the
 * stack starts don't get them.
 */
export function takeGatewayEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const taken: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!isOfTheGateway(name)) continue;
    taken[name] = value;
    delete environment[name];
  }
  return taken;
}

export type KnownModels = Pick<LlmGatewayOptions, 'providerServers' | 'aliases' | 'file'>;

/**
 * Reads the model providers and aliases that an environment describes. The result contains API keys.
 * @throws CliError (bad input) that names the invalid variable, but contains no key
 */
export async function modelsIn(environment: NodeJS.ProcessEnv): Promise<KnownModels> {
  const { gatewayOptionsFrom } = await import('@coppice/llm-gateway');
  try {
    return gatewayOptionsFrom(takeGatewayEnvironment({ ...environment }));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new CliError(exitCodes.badInput, error.message, { cause: error });
  }
}

export const describesProviders = (environment: NodeJS.ProcessEnv): boolean =>
  Object.keys(environment).some((name) => isOfTheGateway(name));
