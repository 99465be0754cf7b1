import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

/**
 * The files of an embedded stack. Other users can enter `root` and `dataFolder`, but can't list them. If the stack runs
 * as root, sandboxes run as another user, and reach their worktrees that way. Secret files are in folders with mode
 * 0700.
 */
export type Home = {
  root: string;
  /** Locked by the running stack. */
  lockFile: string;
  /** Process and phase of the stack. */
  statusFile: string;
  /** Address and credentials for clients. Only the stack's user can read the file. */
  connectionFile: string;
  logFile: string;
  natsFolder: string;
  /** Folder for the services' files. */
  dataFolder: string;
};

const secret = 0o700;
const passable = 0o711;

/**
 * Uses the folder COPPICE_HOME. If it isn't set, uses the folder `coppice` in XDG_STATE_HOME, or else in
 * ~/.local/state.
 */
export function homeFrom(environment: NodeJS.ProcessEnv = process.env): Home {
  const named = environment['COPPICE_HOME'] ?? '';
  const state = environment['XDG_STATE_HOME'] ?? '';
  const states = path.isAbsolute(state) ? state : path.join(homedir(), '.local', 'state');
  const root = named === '' ? path.join(states, 'coppice') : path.resolve(named);
  const stack = path.join(root, 'stack');
  return {
    root,
    lockFile: path.join(stack, 'stack.lock'),
    statusFile: path.join(stack, 'status.json'),
    connectionFile: path.join(stack, 'connection.json'),
    logFile: path.join(stack, 'stack.log'),
    natsFolder: path.join(stack, 'nats'),
    dataFolder: path.join(root, 'data'),
  };
}

export function makeHome(home: Home): void {
  try {
    makeFolders(home);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `COPPICE_HOME: expected a folder that can be made and written, received ${home.root}: ${reason}`;
    throw new CliError(exitCodes.badInput, text, { cause });
  }
}

function makeFolders(home: Home): void {
  // Parent folders get the permissions of the user's umask.
  mkdirSync(path.dirname(home.root), { recursive: true });
  for (const folder of [home.root, home.dataFolder]) mkdirSync(folder, { recursive: true, mode: passable });
  for (const folder of [path.dirname(home.statusFile), home.natsFolder])
    mkdirSync(folder, { recursive: true, mode: secret });
}
