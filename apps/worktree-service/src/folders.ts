/**
 * Folders that agents wrote to: looked at, handed over and removed without following a link.
 */
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
import { Turns, removeTree } from '@coppice/service';

/** Who a sandbox runs as; its worktree belongs to it. Null where the stack isn't root: then it is the stack's own user. */
export type Owner = { uid: number; gid: number } | null;

/** A path as bytes, one a character: names need not be UTF-8. */
export const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1');
/** The reverse, for a path of ours. */
export const byteString = (path: string): string => Buffer.from(path, 'utf8').toString('latin1');

/** Synchronous calls are ten times cheaper than asynchronous ones here. What one entry costs, in steps of a turn. */
const stepsPerEntry = 100;

const ownerWrites = 0o300;

/** What tells that a file wasn't written to: nobody inside a sandbox can set a ctime. */
export const fingerprint = (stat: BigIntStats): string =>
  `${modeAndSize(stat)}${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}`;
/** What a fingerprint begins with. */
export const modeAndSize = (stat: BigIntStats): string => `${stat.mode} ${stat.size} `;

/**
 * Gives a folder that was just made, and that no agent has seen, to its owner; calls `onFile` with each file's path relative to it.
 * With `mtime` (seconds) set, files that `onFile`'s caller names by `isOld` get it: git re-reads files as young as its index.
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
  const turns = new Turns();
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
      turns.spend(stepsPerEntry);
      if (turns.due) await turns.give();
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
 * Renames what agent or setup left (byte strings). A folder that is moved has its `..` rewritten, so its owner must be able to write to it: where
 * it is read-only, as Go's module cache is, it may be written to in between. Nobody may be at work in it.
 */
export function moveAway(from: string, to: string): void {
  const stat = lstatSync(bytesOf(from));
  const isLocked = stat.isDirectory() && (stat.mode & ownerWrites) !== ownerWrites && process.geteuid?.() !== 0;
  if (isLocked) chmodSync(bytesOf(from), (stat.mode & 0o7777) | ownerWrites);
  renameSync(bytesOf(from), bytesOf(to));
  if (isLocked) chmodSync(bytesOf(to), stat.mode & 0o7777);
}

/** Removes folders later: they are renamed away at once, and what a crash leaves is swept at the next start. */
export class Trash {
  readonly #folder: string;
  readonly #removals = new Map<string, Promise<void>>();
  readonly #onError: (error: unknown) => void;

  constructor(folder: string, onError: (error: unknown) => void) {
    this.#folder = folder;
    this.#onError = onError;
  }

  /** Moves a folder out of its place. Absent: nothing happens. */
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

  /** Removes what an earlier process left, and what could not be removed. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) this.#remove(join(this.#folder, name));
  }

  /** Resolves when everything taken is gone. */
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
