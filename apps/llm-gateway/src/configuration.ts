import path from 'node:path';
import { flagVariable, integerVariable, pathListVariable } from '@coppice/service';
import { z } from 'zod';
import { gatewayLimits } from './limits.ts';
import type { LlmGatewayOptions } from './service.ts';

/** The variables that the gateway reads beside the common ones. */
export const gatewayVariables = {
  /** Folders of scripts for the `scripted` provider, separated as in PATH. */
  COPPICE_SCRIPTS: pathListVariable.default([]),
  /** Scripts may be named by an absolute path. */
  COPPICE_SCRIPTS_ANYWHERE: flagVariable.default(false),
  COPPICE_SCRIPTED_COUNT_FILE: z
    .string()
    .transform((file) => path.resolve(file))
    .optional(),
  COPPICE_TURNS_MAX: integerVariable({ min: 1, max: 1_000 }).default(gatewayLimits.concurrency),
};

export function gatewayOptions(configuration: z.output<z.ZodObject<typeof gatewayVariables>>): LlmGatewayOptions {
  const { COPPICE_SCRIPTED_COUNT_FILE: scriptedCountFile } = configuration;
  return {
    scriptFolders: configuration.COPPICE_SCRIPTS,
    scriptsAnywhere: configuration.COPPICE_SCRIPTS_ANYWHERE,
    concurrency: configuration.COPPICE_TURNS_MAX,
    ...(scriptedCountFile === undefined ? {} : { scriptedCountFile }),
  };
}
