import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Home } from './home.ts';
import { readJsonFile } from './private-file.ts';

/** The checkout's top folder. */
export const projectFolder = path.resolve(import.meta.dirname, '../../../..');

export type SetupResult = {
  natsServer?: string;
  engine?: string;
  tried?: string[];
  dockerSocket?: string | null;
  bwrap?: string | null;
  uid?: number | null;
};

/** What set-up found here; null where it has not run. */
export const setupResult = (): SetupResult | null =>
  readJsonFile(path.join(projectFolder, '.cache', 'setup.json')) as SetupResult | null;

/**
 * The container engine's socket that set-up found, where it still counts: users share a checkout, each reaches other sockets, and DOCKER_HOST may have
 * been set since. Undefined where whoever asks must look for it.
 */
export function foundSocket(
  setup: SetupResult | null,
  user: { uid: number | null; environment: NodeJS.ProcessEnv },
): string | undefined {
  // An earlier set-up didn't tell whose it was.
  const isTheirs = setup?.uid === undefined || setup.uid === user.uid;
  const isNamed = (user.environment['DOCKER_HOST'] ?? '') !== '';
  return isTheirs && !isNamed ? (setup?.dockerSocket ?? undefined) : undefined;
}

/**
 * Where root file systems made on this machine are kept. Making one takes seconds, so all stacks of a checkout share them; who may not
 * write into the checkout and finds none there has their own.
 */
export function imagesFolder(environment: NodeJS.ProcessEnv, home: Home): string {
  const named = environment['COPPICE_IMAGES'] ?? '';
  if (named !== '') return path.resolve(named);
  const shared = path.join(projectFolder, '.cache', 'images');
  return existsSync(shared) || mayWrite(path.dirname(shared)) ? shared : path.join(home.dataFolder, 'images');
}

function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** COPPICE_NATS_SERVER, else set-up's, else the first in PATH. @throws CliError that says how to get one. */
export function natsServerProgram(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['COPPICE_NATS_SERVER'] ?? '';
  const inPath = (environment['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder || '.', 'nats-server'));
  const candidates = named === '' ? [setupResult()?.natsServer, ...inPath] : [named];
  const found = candidates.find((file) => file !== undefined && isExecutable(file));
  if (found !== undefined) return found;
  throw new CliError(
    exitCodes.stackUnavailable,
    `no nats-server found (${named === '' ? 'neither from set-up nor in PATH' : `COPPICE_NATS_SERVER=${named}`}): run "node ${path.join(projectFolder, 'setup/setup.js')}", which fetches it`,
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
