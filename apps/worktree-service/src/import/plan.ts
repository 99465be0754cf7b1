/**
 * Compares an agent's worktree, which is untrusted data, with its original state.
 *
 * Invariants:
 * 1. No link is followed. This module reads only .gitignore files, up to a size limit, and files that may be unchanged.
 *    fast-import.ts opens the changed files later.
 * 2. If a path to be imported breaks a path rule, the whole import is rejected with an error that names this path.
 * 3. The event loop can run every few milliseconds, and matching has a budget of steps, whatever the ignore files
 *    contain.
 * 4. A file with its fingerprint from checkout is unchanged, since no process in a sandbox can set a ctime. If only the
 *    times or the inode in the fingerprint differ, the contents are compared, since restoring a backup changes times
 *    and inodes. The size is checked against a limit before the file is read, since a sparse file may have any size.
 * 5. Files named like Coppice's own drafts are skipped. If the repository contains such a file, an import can delete it
 *    but not change it.
 */
import { closeSync, readSync, type BigIntStats } from 'node:fs';
import { CoppiceError, ownDraftPattern } from '@coppice/contracts';
import { byteString, fingerprint } from '../folders.ts';
import type { TreeEntry } from '../worktree/checkout.ts';
import type { SnapshotEntry } from '../worktree/snapshot.ts';
import { FolderHandle } from './folder-handle.ts';
import { StepBudget } from '@coppice/service';
import { isIgnored, parseIgnoreFile, type IgnoreRules } from './ignore-rules.ts';
import type { ImportLimits } from './limits.ts';
import { nameProblem, namesSubmodules, shortened, submodulesProblem, symlinkProblem } from './path-rules.ts';
import { isUnchanged, mayBeUnchanged, type Found, type Given } from './unchanged-files.ts';

export type FileChange = { kind: 'file'; path: string; mode: '100644' | '100755'; stat: BigIntStats };
export type LinkChange = { kind: 'link'; path: string; target: string };
export type Plan = {
  changes: (FileChange | LinkChange)[];
  deletions: string[];
  ignored: number;
  /** Paths of skipped drafts, at most 20. */
  drafts: string[];
};

/** Cost of one entry in matching steps, in addition to the matching itself. */
const stepsPerEntry = 100;
const ignoredMax = 1_000;
const draftsShownMax = 20;
const executableBit = 0o100n;

export const refused = (path: string, reason: string): CoppiceError =>
  new CoppiceError('import-refused', `${shortened(path)}: ${reason}`, { details: { path: shortened(path), reason } });

type Level = {
  folder: FolderHandle;
  path: string;
  depth: number;
  rules: readonly IgnoreRules[];
  ignored: boolean;
  inGitlink: boolean;
};

/**
 * `tree` is the worktree's folder, `tracked` the parent's tree, and `given` the worktree's original state. Throws
 * `import-refused` or `limit-exceeded`.
 */
export async function planImport(
  tree: string,
  tracked: Map<string, TreeEntry>,
  given: Given,
  limits: ImportLimits,
  signal?: AbortSignal,
  budget: StepBudget = stepBudgetOf(limits, signal),
): Promise<Plan> {
  return new Planner(tracked, given, limits, budget).run(tree);
}

export const stepBudgetOf = (limits: ImportLimits, signal?: AbortSignal): StepBudget =>
  new StepBudget({
    stepsMax: limits.matchingStepsMax + limits.entriesMax * stepsPerEntry,
    what: 'steps to match ignore rules (matchingStepsMax)',
    signal,
  });

class Planner {
  readonly #budget: StepBudget;
  readonly #tracked: Map<string, TreeEntry>;
  readonly #given: Given;
  readonly #limits: ImportLimits;
  /** Folders that contain tracked files. They are entered even if rules ignore them. */
  readonly #trackedFolders: Set<string>;
  readonly #knownFolders: Set<string>;
  readonly #seen = new Set<string>();
  readonly #changes: (FileChange | LinkChange)[] = [];
  readonly #drafts: string[] = [];
  #entries = 0;
  #ignored = 0;
  #bytes = 0n;
  #comparedBytes = 0n;
  #comparedLargeBytes = 0n;

  constructor(tracked: Map<string, TreeEntry>, given: Given, limits: ImportLimits, budget: StepBudget) {
    this.#budget = budget;
    this.#tracked = tracked;
    this.#given = given;
    this.#limits = limits;
    this.#trackedFolders = foldersOf(tracked.keys());
    this.#knownFolders = foldersOf(given.snapshot.keys());
  }

  async run(tree: string): Promise<Plan> {
    const folder = FolderHandle.open(byteString(tree));
    try {
      await this.#walk({ folder, path: '', depth: 0, rules: [], ignored: false, inGitlink: false });
    } finally {
      folder.close();
    }
    const deletions = [...this.#tracked]
      .filter(([path, entry]) => entry.mode !== '160000' && !this.#seen.has(path))
      .map(([path]) => path);
    for (const path of deletions) {
      if (path.split('/').some(namesSubmodules)) throw refused(path, submodulesProblem);
    }
    this.#limit(this.#changes.length + deletions.length, this.#limits.changedPathsMax, 'changed paths');
    return { changes: this.#changes, deletions, ignored: this.#ignored, drafts: this.#drafts };
  }

  async #walk(level: Level): Promise<void> {
    const names = level.folder.names();
    const rules =
      names.includes('.gitignore') && !level.ignored ? [...level.rules, ...this.#ignoreFile(level)] : level.rules;
    for (const name of names) {
      // `.git` links to the host's metadata, unless an agent has replaced it.
      if (level.path === '' && name === '.git') continue;
      this.#budget.spend(stepsPerEntry);
      if (this.#budget.due) await this.#budget.yield();
      this.#entries++;
      this.#limit(this.#entries, this.#limits.entriesMax, 'files and folders');
      await this.#entry({ ...level, rules }, name);
    }
  }

  async #entry(level: Level, name: string): Promise<void> {
    const path = level.path === '' ? name : `${level.path}/${name}`;
    const stat = level.folder.stat(name);
    const tracked = this.#tracked.get(path);
    if (ownDraftPattern.test(name) && !this.#trackedFolders.has(path)) {
      if (tracked !== undefined) this.#seen.add(path);
      if (this.#drafts.length < draftsShownMax) this.#drafts.push(path);
      return;
    }
    if (stat.isDirectory()) {
      const ignored = level.ignored || (await isIgnored(level.rules, path, true, this.#budget));
      const gitlink = level.inGitlink || tracked?.mode === '160000';
      if (ignored && !this.#trackedFolders.has(path) && !gitlink) {
        if (!this.#knownFolders.has(path)) this.#countIgnored();
        return;
      }
      await this.#enter({ ...level, ignored, inGitlink: gitlink, path, depth: level.depth + 1 }, level.folder, name);
      return;
    }
    const known = this.#given.snapshot.get(path);
    // An unchanged file is not the agent's work. If the file is untracked, the setup created it.
    const wasGiven = known !== undefined && known.objectId === (tracked?.objectId ?? null);
    if (wasGiven && (await this.#isUnchanged(known, { folder: level.folder, name, path, stat }))) {
      if (tracked !== undefined) this.#seen.add(path);
      return;
    }
    if (level.inGitlink || tracked?.mode === '160000') throw refused(path, "submodules can't be changed");
    if (tracked === undefined && (level.ignored || (await isIgnored(level.rules, path, false, this.#budget)))) {
      this.#countIgnored();
      return;
    }
    this.#change(level.folder, name, path, stat);
  }

  async #isUnchanged(known: SnapshotEntry, found: Found): Promise<boolean> {
    if (known.fingerprint === fingerprint(found.stat)) return true;
    if (!mayBeUnchanged(known, found.stat)) return false;
    const { size } = found.stat;
    const { fileBytesMax, comparedBytesMax, comparedLargeBytesMax } = this.#limits;
    if (size > BigInt(fileBytesMax)) {
      if (this.#comparedLargeBytes + size > BigInt(comparedLargeBytesMax)) return false;
      this.#comparedLargeBytes += size;
    }
    this.#comparedBytes += size;
    this.#limit(
      Number(this.#comparedBytes),
      comparedBytesMax,
      'bytes in files that were written to but may be unchanged',
    );
    return isUnchanged(known, found, this.#given.sealed, this.#budget);
  }

  async #enter(level: Level, parent: FolderHandle, name: string): Promise<void> {
    if (level.depth > this.#limits.depthMax)
      throw refused(level.path, `folders are nested deeper than ${this.#limits.depthMax}`);
    // A folder that existed before the agent started may have any name. New entries in it are checked with their whole
    // path.
    const problem = level.ignored || this.#knownFolders.has(level.path) ? undefined : nameProblem(name);
    if (problem !== undefined) throw refused(level.path, problem);
    const folder = openNamed(level.path, () => parent.folder(name));
    try {
      await this.#walk({ ...level, folder });
    } finally {
      folder.close();
    }
  }

  #countIgnored(): void {
    this.#ignored = Math.min(this.#ignored + 1, ignoredMax);
  }

  #change(folder: FolderHandle, name: string, path: string, stat: BigIntStats): void {
    const problem = path
      .split('/')
      .map(nameProblem)
      .find((found) => found !== undefined);
    if (problem !== undefined) throw refused(path, problem);
    if (path.length > this.#limits.pathBytesMax)
      throw refused(path, `its path is longer than ${this.#limits.pathBytesMax} bytes`);
    this.#seen.add(path);
    if (stat.isSymbolicLink()) {
      const target = folder.link(name);
      const reason = symlinkProblem(path, target);
      if (reason !== undefined) throw refused(path, reason);
      this.#changes.push({ kind: 'link', path, target });
    } else if (stat.isFile()) {
      if (stat.size > BigInt(this.#limits.fileBytesMax)) {
        throw refused(path, `it has ${stat.size} bytes, more than the limit of ${this.#limits.fileBytesMax}`);
      }
      this.#bytes += stat.size;
      this.#limit(Number(this.#bytes), this.#limits.totalBytesMax, 'bytes in changed files');
      this.#changes.push({ kind: 'file', path, mode: (stat.mode & executableBit) === 0n ? '100644' : '100755', stat });
      this.#limit(this.#changes.length, this.#limits.changedPathsMax, 'changed paths');
    } else throw refused(path, 'it is neither a file, nor a folder, nor a symbolic link');
  }

  #limit(value: number, max: number, what: string): void {
    if (value > max)
      throw new CoppiceError('limit-exceeded', `the import has more than ${max} ${what}`, {
        details: { limit: max, what },
      });
  }

  #ignoreFile(level: Level): IgnoreRules[] {
    const path = level.path === '' ? '.gitignore' : `${level.path}/.gitignore`;
    // As in git, a symbolic link doesn't count as an ignore file.
    if (!level.folder.stat('.gitignore').isFile()) return [];
    const { descriptor, stat } = openNamed(path, () => level.folder.file('.gitignore'));
    try {
      if (!stat.isFile()) return [];
      if (stat.size > BigInt(this.#limits.ignoreFileBytesMax)) {
        throw refused(path, `an ignore file of more than ${this.#limits.ignoreFileBytesMax} bytes`);
      }
      const buffer = Buffer.alloc(this.#limits.ignoreFileBytesMax);
      const parsed = parseIgnoreFile(level.path, buffer.toString('latin1', 0, readSync(descriptor, buffer)));
      const { ignoreRulesMax, ignoreRuleBytesMax } = this.#limits;
      if (parsed.rules.length > ignoreRulesMax) throw refused(path, `it has more than ${ignoreRulesMax} rules`);
      if (parsed.rules.some(({ bytes }) => bytes > ignoreRuleBytesMax))
        throw refused(path, `it has a rule of more than ${ignoreRuleBytesMax} bytes`);
      return [parsed];
    } finally {
      closeSync(descriptor);
    }
  }
}

/** Calls `open`. If an agent's file causes a system error, throws `import-refused` with the file's path. */
export function openNamed<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EACCES' || code === 'EPERM') throw refused(path, 'it may not be read (its permissions)');
    if (code === 'ENAMETOOLONG') throw refused(path, 'its path is too long');
    if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENOENT' || code === 'ENXIO')
      throw refused(path, 'it changed while it was read');
    throw error;
  }
}

function foldersOf(paths: Iterable<string>): Set<string> {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end);
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  return folders;
}
