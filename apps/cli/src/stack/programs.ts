import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Home } from './home.ts';
import { readJsonFile } from './private-file.ts';

export const projectFolder = path.resolve(import.meta.dirname, '../../../..');

export type SetupResult = {
  natsServer?: string;
  engine?: string;
  tried?: string[];
  dockerSocket?: string | null;
  bwrap?: string | null;
  uid?: number | null;
};

/** Returns null if set-up hasn't run. */
export const setupResult = (): SetupResult | null =>
  readJsonFile(path.join(projectFolder, '.cache', 'setup.json')) as SetupResult | null;

/**
 * Returns the container engine's socket that set-up found. Returns undefined if another user ran set-up, since users
 * have different sockets, or if DOCKER_HOST is set. The caller must then find a socket.
 */
export function foundSocket(
  setup: SetupResult | null,
  user: { uid: number | null; environment: NodeJS.ProcessEnv },
): string | undefined {
  // Earlier versions of set-up didn't record the user.
  const isTheirs = setup?.uid === undefined || setup.uid === user.uid;
  const isNamed = (user.environment['DOCKER_HOST'] ?? '') !== '';
  return isTheirs && !isNamed ? (setup?.dockerSocket ?? undefined) : undefined;
}

/**
 * Returns the folder for sandboxes' root file systems. It takes seconds to make a root file system, so all stacks of a
 * checkout share the checkout's folder. If that folder is missing and the user can't create it, the folder is in the
 * stack's home.
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

/**
 * Returns the path of nats-server. This is COPPICE_NATS_SERVER, else the program from set-up, else the first one in
 * PATH.
 * @throws CliError that says how to get the program
 */
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
