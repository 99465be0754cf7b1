import path from 'node:path';
import { flagVariable, integerVariable, pathListVariable, readConfiguration } from '@coppice/service';
import { z } from 'zod';
import { readGatewayFile } from './configuration/file.ts';
import { facadeAddresses, facadeVariables } from './ingress/http/addresses.ts';
import { gatewayLimits } from './limits.ts';
import { requireOthers } from './ingress/http/own-addresses.ts';
import { providerServersOf, providerVariables } from './provider/environment.ts';
import type { LlmGatewayOptions } from './service.ts';

/** The gateway's own environment variables. */
export const gatewayVariables = {
  /** Folders with scripts for the `scripted` provider. They are separated as in `PATH`. */
  COPPICE_SCRIPTS: pathListVariable.default([]),
  /** True if scripts may be named by an absolute path. */
  COPPICE_SCRIPTS_ANYWHERE: flagVariable.default(false),
  COPPICE_SCRIPTED_COUNT_FILE: z
    .string()
    .transform((file) => path.resolve(file))
    .optional(),
  /** Configuration file with providers, aliases, prices and limits. Example: deploy/gateway.example.yaml. */
  COPPICE_GATEWAY_CONFIG: z
    .string()
    .transform((file) => path.resolve(file))
    .optional(),
  COPPICE_TURNS_MAX: integerVariable({ min: 1, max: 1_000 }).default(gatewayLimits.concurrency),
  ...facadeVariables,
  ...providerVariables,
};

/**
 * Reads the options from a whole environment, for a program that runs the gateway together with other services.
 * @throws ConfigurationError.
 */
export function gatewayOptionsFrom(environment: NodeJS.ProcessEnv): LlmGatewayOptions {
  return gatewayOptions(readConfiguration(z.object(gatewayVariables), environment), environment);
}

/**
 * Converts the variables to options. `environment` contains the keys of named providers, since their variables aren't
 * in the schema.
 * @throws ConfigurationError.
 */
export function gatewayOptions(
  configuration: z.output<z.ZodObject<typeof gatewayVariables>>,
  environment: NodeJS.ProcessEnv = process.env,
): LlmGatewayOptions {
  const { COPPICE_SCRIPTED_COUNT_FILE: scriptedCountFile, COPPICE_GATEWAY_CONFIG: file } = configuration;
  const providerServers = providerServersOf(configuration, environment);
  const options: LlmGatewayOptions = {
    scriptFolders: configuration.COPPICE_SCRIPTS,
    scriptsAnywhere: configuration.COPPICE_SCRIPTS_ANYWHERE,
    concurrency: configuration.COPPICE_TURNS_MAX,
    providerServers,
    ...(file === undefined ? {} : readGatewayFile(file, providerServers, environment)),
    httpAddresses: facadeAddresses(configuration),
    ...(scriptedCountFile === undefined ? {} : { scriptedCountFile }),
  };
  requireOthers(options.providerServers ?? [], options.httpAddresses ?? []);
  return options;
}
