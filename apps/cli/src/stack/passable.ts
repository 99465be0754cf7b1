import { statSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Home } from './home.ts';
import type { EngineChoice } from './services.ts';

const othersMayEnter = 0o001;

/**
 * A stack that is root runs commands as another user, which without a sandbox's mounts must get to its worktree by the folders' own rights.
 * @throws CliError that names the folder it can't enter
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

/** The topmost folder on the way, itself included, that others may not enter; null where they may enter all. What isn't there yet counts as open. */
export function closedFolder(folder: string): string | null {
  const parent = path.dirname(folder);
  const above = parent === folder ? null : closedFolder(parent);
  if (above !== null) return above;
  const mode = statSync(folder, { throwIfNoEntry: false })?.mode;
  return mode === undefined || (mode & othersMayEnter) !== 0 ? null : folder;
}
