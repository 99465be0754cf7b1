/** Functions for folders that agents wrote to. No function follows a symbolic link. */
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  type BigIntStats,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '@coppice/files';
import { StepBudget } from '@coppice/service';

/**
 * User that sandboxes run as. This user owns the worktrees. Null if the stack doesn't run as root, since sandboxes then
 * run as the stack's own user.
 */
export type Owner = { uid: number; gid: number } | null;

/** Converts a byte string to bytes. A byte string has one character per byte, since file names need not be UTF-8. */
export const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1');
/** Converts a path that Coppice chose to a byte string. Such a path is always UTF-8. */
export const byteString = (path: string): string => Buffer.from(path, 'utf8').toString('latin1');

/**
 * Cost of one entry, in steps of a `StepBudget`. Entries are read by synchronous calls, which are ten times faster here
 * than asynchronous ones.
 */
const stepsPerEntry = 100;

const ownerWrites = 0o300;

/**
 * Returns a value that changes whenever the file is written. It contains the ctime, which no process in a sandbox can
 * set.
 */
export const fingerprint = (stat: BigIntStats): string =>
  `${modeAndSize(stat)}${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}`;
export const modeAndSize = (stat: BigIntStats): string => `${stat.mode} ${stat.size} `;

/**
 * Makes `owner` the owner of a new folder that no agent has seen yet. Calls `onFile` with the path of each file,
 * relative to the folder. If `oldFiles.isOld` returns true for a file, sets the file's mtime to `oldFiles.mtime`
 * (seconds). Git reads a file again unless the file is older than git's index.
 */
export async function handOver(
  folder: string,
  owner: Owner,
  options: {
    oldFiles?: { mtime: number; isOld: (path: string) => boolean };
    onFile?: (path: string, stat: BigIntStats) => void;
  } = {},
): Promise<void> {
  const root = byteString(folder);
  const budget = new StepBudget();
  const give = (path: string) => {
    if (owner !== null) lchownSync(bytesOf(path), owner.uid, owner.gid);
  };
  const pending = [''];
  for (let relative = pending.pop(); relative !== undefined; relative = pending.pop()) {
    const here = relative === '' ? root : `${root}/${relative}`;
    give(here);
    for (const entry of readdirSync(bytesOf(here), { encoding: 'buffer', withFileTypes: true })) {
      const name = entry.name.toString('latin1');
      if (relative === '' && name === '.git') continue;
      budget.spend(stepsPerEntry);
      if (budget.due) await budget.yield();
      const path = relative === '' ? name : `${relative}/${name}`;
      if (entry.isDirectory()) {
        pending.push(path);
        continue;
      }
      const full = `${root}/${path}`;
      give(full);
      if (options.oldFiles?.isOld(path) === true)
        lutimesSync(bytesOf(full), options.oldFiles.mtime, options.oldFiles.mtime);
      if (options.onFile !== undefined) options.onFile(path, lstatSync(bytesOf(full), { bigint: true }));
    }
  }
}

/**
 * Renames a file or folder that an agent or a setup left. Paths are byte strings. A move changes the `..` entry of a
 * folder, so a read-only folder, such as Go's module cache, is made writable for the move. The caller ensures that no
 * process uses the folder.
 */
export function moveAway(from: string, to: string): void {
  const stat = lstatSync(bytesOf(from));
  const isLocked = stat.isDirectory() && (stat.mode & ownerWrites) !== ownerWrites && process.geteuid?.() !== 0;
  if (isLocked) chmodSync(bytesOf(from), (stat.mode & 0o7777) | ownerWrites);
  renameSync(bytesOf(from), bytesOf(to));
  if (isLocked) chmodSync(bytesOf(to), stat.mode & 0o7777);
}

/**
 * Removes folders in the background. `take` moves a folder into the trash at once. If a crash leaves folders in the
 * trash, the next start of the service removes them.
 */
export class Trash {
  readonly #folder: string;
  readonly #removals = new Map<string, Promise<void>>();
  readonly #onError: (error: unknown) => void;

  constructor(folder: string, onError: (error: unknown) => void) {
    this.#folder = folder;
    this.#onError = onError;
  }

  /** Does nothing if the folder doesn't exist. */
  take(path: string): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const away = join(this.#folder, randomUUID());
    try {
      renameSync(path, away);
    } catch (error) {
      if (existsSync(path)) throw error;
      return;
    }
    this.#remove(away);
  }

  /** Removes all folders in the trash, including those that earlier processes left. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) this.#remove(join(this.#folder, name));
  }

  /** Resolves when all running removals have ended. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals.values());
  }

  #remove(path: string): void {
    if (this.#removals.has(path)) return;
    const removal = removeTree(path)
      .catch((error: unknown) => this.#onError(error))
      .finally(() => this.#removals.delete(path));
    this.#removals.set(path, removal);
  }
}
