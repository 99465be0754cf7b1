/**
 * Whether a git directory keeps all that git reads and writes there in itself. Whoever may write in it can let git go elsewhere: by a link, by
 * objects that it borrows, by a configuration that includes another.
 *
 * Invariants:
 * 1. What can't be told whole (too large, not a plain file) leads elsewhere.
 * 2. The answer names a part of the git directory, never what it leads to, and doesn't tell whether there is anything.
 * 3. It is an answer for now: who may write there can change it before git looks.
 */
import { readdirSync, realpathSync, type Dirent } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { plainFileBytesMax, readPlainFile } from './plain-file.ts';

/** No hook runs, so a link to one leads nowhere; what lies in the others is not read for the repository itself. */
const unread = new Set(['hooks', 'modules', 'lfs', 'annex']);
/** The folders of which git reads all that lies in them. */
const walked = new Set(['objects', 'refs', 'logs', 'worktrees', 'info', 'reftable']);
const entriesMax = 100_000;
/** As git follows repositories that borrow from others that borrow. */
const borrowingDepthMax = 5;
const includes = /\[\s*include/i;

/** Null where all is its own; else which part isn't, and why. `isAllowed`: of a git directory without links in its path. */
export function foreignPart(gitDir: string, isAllowed: (gitDir: string) => boolean): string | null {
  const walk = new Walk();
  return (
    walk.linkIn(gitDir, '', true) ?? configOf(gitDir) ?? borrowed(join(gitDir, 'objects'), isAllowed, walk, 0) ?? null
  );
}

class Walk {
  #entries = 0;

  /** The first link in a folder; of a git directory itself only what git reads of it. */
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

/** Null where there is a folder that can't be read. */
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

/** `objects`: the folder whose objects/info/alternates is read. */
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
    // What git would unquote is one that no git writes.
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
