import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

/**
 * Where an embedded stack keeps everything. The top folder and `data` can be entered by others but not listed: where the stack is root,
 * sandboxes run as another user and must reach their worktrees. What is secret lies in folders of mode 0700.
 */
export type Home = {
  root: string;
  /** Held by the running stack for all its life. */
  lockFile: string;
  /** Who runs, and how far it is. */
  statusFile: string;
  /** How a client connects; only its user reads it. */
  connectionFile: string;
  logFile: string;
  natsFolder: string;
  /** The services' own files. */
  dataFolder: string;
};

const secret = 0o700;
const passable = 0o711;

/** COPPICE_HOME, else `coppice` in the user's state folder (XDG_STATE_HOME, else ~/.local/state, on macOS too). */
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

/** @throws CliError where the folder can't be made. */
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
  // The folders above it are the user's: made with their own umask.
  mkdirSync(path.dirname(home.root), { recursive: true });
  for (const folder of [home.root, home.dataFolder]) mkdirSync(folder, { recursive: true, mode: passable });
  for (const folder of [path.dirname(home.statusFile), home.natsFolder])
    mkdirSync(folder, { recursive: true, mode: secret });
}
