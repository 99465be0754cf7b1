import { statSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Home } from './home.ts';
import type { EngineChoice } from './services.ts';

const othersMayEnter = 0o001;

/**
 * Checks that commands of engine none can reach their worktrees. If the stack runs as root, the commands run as another
 * user. Engine none mounts nothing, so that user must be able to enter each parent folder.
 * @throws CliError that names a folder that this user can't enter
 */
export function requirePassable(home: Home, engine: EngineChoice, uid = process.getuid?.()): void {
  if (engine !== 'none' || uid !== 0) return;
  const closed = closedFolder(path.dirname(home.root));
  if (closed === null) return;
  throw new CliError(
    exitCodes.badInput,
    `as root, engine none runs commands as another user, which may not enter ${closed}: set COPPICE_HOME to a folder below one that everybody may enter, such as /var/lib/coppice`,
  );
}

/**
 * Returns the topmost folder, among a folder and its parents, that other users can't enter. Returns null if there is
 * none. A missing folder counts as open.
 */
export function closedFolder(folder: string): string | null {
  const parent = path.dirname(folder);
  const above = parent === folder ? null : closedFolder(parent);
  if (above !== null) return above;
  const mode = statSync(folder, { throwIfNoEntry: false })?.mode;
  return mode === undefined || (mode & othersMayEnter) !== 0 ? null : folder;
}
