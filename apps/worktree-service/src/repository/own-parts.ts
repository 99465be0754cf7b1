/**
 * Checks that everything git reads and writes for a repository is inside the git directory. A user with write access
 * could lead git to other folders by a symbolic link, by borrowed objects, or by a configuration that includes another
 * file.
 *
 * Invariants:
 * 1. A part that is too large to be checked completely counts as leading out of the git directory. So does a folder
 *    that can't be read.
 * 2. The result names the part, but reveals neither the part's destination nor whether the destination exists.
 * 3. The result is a snapshot. A user with write access can change the git directory before git reads it.
 */
import { readdirSync, realpathSync, type Dirent } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { plainFileBytesMax, readPlainFile } from './plain-file.ts';

/**
 * Entries that aren't checked. No hook runs, so links to hooks are harmless. Git doesn't read the other entries for the repository itself.
 */
const unread = new Set(['hooks', 'modules', 'lfs', 'annex']);
/** Folders in which git reads everything. */
const walked = new Set(['objects', 'refs', 'logs', 'worktrees', 'info', 'reftable']);
const entriesMax = 100_000;
/** Git's own limit on chains of repositories that borrow from each other. */
const borrowingDepthMax = 5;
const includes = /\[\s*include/i;

/**
 * Returns the part that leads out of the git directory and the reason, or null if there is none. `isAllowed` gets the
 * real path of each git directory from which objects are borrowed.
 */
export function foreignPart(gitDir: string, isAllowed: (gitDir: string) => boolean): string | null {
  const walk = new Walk();
  return (
    walk.linkIn(gitDir, '', true) ?? configOf(gitDir) ?? borrowed(join(gitDir, 'objects'), isAllowed, walk, 0) ?? null
  );
}

class Walk {
  #entries = 0;

  /** Finds the first symbolic link in a folder. At the top of a git directory, checks only what git reads. */
  linkIn(root: string, folder: string, isTop = false): string | undefined {
    const entries = entriesOf(join(root, folder));
    if (entries === null) return `its ${folder} can't be looked at`;
    for (const entry of entries) {
      const name = join(folder, entry.name);
      if (isTop && unread.has(entry.name)) continue;
      this.#entries += 1;
      if (this.#entries > entriesMax)
        return `it has more than ${entriesMax} loose files (git gc makes fewer), so they can't all be looked at`;
      if (entry.isSymbolicLink()) return `its ${name} is a symbolic link`;
      if (!entry.isDirectory() || (isTop && !walked.has(entry.name))) continue;
      const found = this.linkIn(root, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Lists a folder. Empty if the folder doesn't exist, null if it can't be read. */
function entriesOf(folder: string): Dirent[] | null {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : null;
  }
}

function configOf(gitDir: string): string | undefined {
  const linked = (entriesOf(join(gitDir, 'worktrees')) ?? []).map(({ name }) =>
    join('worktrees', name, 'config.worktree'),
  );
  for (const name of ['config', 'config.worktree', ...linked]) {
    const config = readPlainFile(join(gitDir, name));
    if (config === undefined) continue;
    if (isCut(config)) return `its ${name} is too large to be looked at`;
    if (includes.test(config)) return `its ${name} includes another file`;
  }
  return undefined;
}

/** Checks the repositories from which the folder `objects` borrows. */
function borrowed(
  objects: string,
  isAllowed: (gitDir: string) => boolean,
  walk: Walk,
  depth: number,
): string | undefined {
  const refusal = 'its objects/info/alternates leads out of what is allowed';
  const content = readPlainFile(join(objects, 'info/alternates'));
  if (content === undefined) return undefined;
  if (isCut(content) || depth === borrowingDepthMax) return refusal;
  for (const line of content.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const from = realFolder(resolve(objects, line));
    // Git would unquote a path that starts with a quotation mark. Git never writes such a path, so it is rejected.
    if (line.startsWith('"') || from === null || basename(from) !== 'objects' || !isAllowed(dirname(from)))
      return refusal;
    if (walk.linkIn(from, '') !== undefined) return refusal;
    const further = borrowed(from, isAllowed, walk, depth + 1);
    if (further !== undefined) return further;
  }
  return undefined;
}

function realFolder(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

const isCut = (content: string): boolean => Buffer.byteLength(content) >= plainFileBytesMax;
