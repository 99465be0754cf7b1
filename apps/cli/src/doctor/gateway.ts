/** Checks of the gateway's configuration file and of its HTTP endpoints. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { remoteFrom } from '../stack/connect.ts';
import { modelsIn } from '../stack/gateway-environment.ts';
import type { KnownModels } from '../stack/gateway-environment.ts';
import { fault, ok, restart, warning } from './check.ts';
import type { Check } from './check.ts';

/** Settings that the running gateway reports. A field is undefined if the gateway's version doesn't report it. */
export type GatewaySettings = {
  httpAddresses?: readonly string[] | undefined;
  file?: { path: string; sha256: string } | null | undefined;
};

const fileCheck = "gateway's file";
const endpointsCheck = "gateway's HTTP endpoints";
const noFile = 'none; COPPICE_GATEWAY_CONFIG names one';
const endpointsOff = 'off; COPPICE_GATEWAY_HTTP, such as 127.0.0.1:8790, opens them';

/** Reports the configuration file that a stack would read if the user started it now. */
export const fileToRead = (file: KnownModels['file']): Check[] => [ok(fileCheck, file?.path ?? noFile)];

/** Reports the HTTP endpoints that a stack would open if the user started it now. */
export function endpointsToOpen(environment: NodeJS.ProcessEnv): Check[] {
  const configured = addressesIn(environment);
  return [ok(endpointsCheck, configured.length === 0 ? endpointsOff : `at ${configured.join(', ')} when a stack runs`)];
}

export function checkEndpoints({ httpAddresses }: GatewaySettings, environment: NodeJS.ProcessEnv): Check[] {
  if (httpAddresses === undefined) return [];
  if (httpAddresses.length > 0) return [ok(endpointsCheck, `at ${httpAddresses.join(', ')}`)];
  const configured = addressesIn(environment);
  if (configured.length === 0 || remoteFrom(environment) !== null) return [ok(endpointsCheck, endpointsOff)];
  return [warning(endpointsCheck, `set to ${configured.join(', ')} here, but off in the stack that runs`, restart)];
}

function addressesIn({
  COPPICE_GATEWAY_HTTP: http = '',
  COPPICE_GATEWAY_SOCKET: socket = '',
}: NodeJS.ProcessEnv): string[] {
  return [...(http === '' ? [] : [`http://${http}`]), ...(socket === '' ? [] : [`unix:${socket}`])];
}

/** Checks that the gateway's configuration file is valid, and hasn't changed since the running stack read it. */
export async function checkFile({ file }: GatewaySettings, environment: NodeJS.ProcessEnv): Promise<Check[]> {
  if (file === undefined) return [];
  if (remoteFrom(environment) !== null)
    return file === null ? [] : [ok(fileCheck, `${file.path}, where the gateway runs`)];
  const named = environment['COPPICE_GATEWAY_CONFIG'] ?? '';
  const next = named === '' ? file?.path : path.resolve(named);
  if (next === undefined) return [ok(fileCheck, noFile)];
  if (next === file?.path && (await sha256Of(next)) === file.sha256) return [ok(fileCheck, next)];
  const problem = await problemOf({ ...environment, COPPICE_GATEWAY_CONFIG: next });
  if (problem !== null) return [fault(fileCheck, problem, 'correct it: a stack does not start with it')];
  const found =
    next === file?.path
      ? `${next} has changed since the stack that runs read it`
      : `${next} is named here, but the stack that runs has read ${file?.path ?? 'none'}`;
  return [warning(fileCheck, found, restart)];
}

/** Returns null if the file can't be read. `problemOf` then reports the error. */
async function sha256Of(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => null);
  return text === null ? null : createHash('sha256').update(text).digest('hex');
}

async function problemOf(environment: NodeJS.ProcessEnv): Promise<string | null> {
  try {
    await modelsIn(environment);
    return null;
  } catch (error) {
    if (error instanceof CliError) return error.message;
    throw error;
  }
}
