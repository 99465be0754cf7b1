import { ConfigurationError } from '@coppice/service';
import type { LlmGatewayOptions } from '@coppice/llm-gateway';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

export const ofTheGateway = /^(COPPICE_)?OPENAI_|^(ANTHROPIC|GEMINI|GOOGLE_API)_|^OLLAMA_HOST$|^COPPICE_GATEWAY_/;

/**
 * Takes the variables of model providers, keys among them, out of an environment: the gateway alone is to know them, not the programs that the
 * stack starts (nats-server, git, sandboxes).
 */
export function takeGatewayEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const taken: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!ofTheGateway.test(name)) continue;
    taken[name] = value;
    delete environment[name];
  }
  return taken;
}

export type KnownModels = Pick<LlmGatewayOptions, 'endpoints' | 'aliases' | 'file'>;

/** The model providers and aliases that an environment describes, their keys with them. @throws CliError (bad input) that names a wrong variable, and no key. */
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
  Object.keys(environment).some((name) => ofTheGateway.test(name));
