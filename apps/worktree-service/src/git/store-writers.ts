/**
 * Git processes that may lock files in one of our bare stores, and removal of the lock files that killed ones leave.
 *
 * Invariants:
 * 1. Such a git, and every process it starts, holds a shared flock on the writers' file as long as it lives. This is true even after its
 *    service was killed, and for all processes and containers that share the data folder. A fetch as the user differs: its flock process
 *    holds the lock until git ends, since a credential helper's daemon would hold it forever. If a signal ends both processes, the lock
 *    may be free milliseconds before git has ended.
 * 2. Lock files are removed only under the exclusive flock. No other process writes to the store, so every lock file found then is stale.
 * 3. The writers' file lies outside the folders that sandboxes see: a process that can open the file can hold the lock.
 * 4. If `flock` is missing (macOS), nothing is removed. The error contains the path of the lock file.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { retry } from '@coppice/service';
import type { Locks } from '../lock.ts';
import { lockNamed } from './failures.ts';
import { withExclusiveFlock } from './flock.ts';
import type { Git, GitOptions, GitResult } from './git.ts';

const writersLimits = {
  /** More than two: each try removes all stale lock files, but a process killed after that may leave another. */
  triesMax: 4,
  /** A running git holds its locks for milliseconds, longer on a busy machine. */
  waitSeconds: 60,
  /** Short, so that a stale lock is noticed soon. The flock then waits for a running git. */
  lockTimeoutMs: 500,
} as const;

/** Lock files. Git refuses to rewrite `packed-refs` if a killed process has left `packed-refs.new`. */
const lockName = /\.lock$|^packed-refs\.new$/;
/** Folders that may contain lock files. Worktree metadata isn't listed: if it is incomplete, it is created again. */
const folders = [
  { path: '.', recursive: false },
  { path: 'refs', recursive: true },
  { path: 'objects/info', recursive: true },
  { path: 'objects/pack', recursive: false },
] as const;

export class StoreWriters {
  readonly #git: Git;
  readonly #locks: Locks;
  readonly #gitDir: string;
  readonly #file: string;
  readonly #name: string;

  /** `file`: the writers' file. `name`: the lock that serializes removals of lock files. */
  constructor(git: Git, locks: Locks, parts: { gitDir: string; file: string; name: string }) {
    this.#git = git;
    this.#locks = locks;
    this.#gitDir = parts.gitDir;
    this.#file = parts.file;
    this.#name = parts.name;
  }

  /** Runs a git command that may lock files in the store. Runs it again if it failed on a stale lock, which is removed first. */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const { lockTimeoutMs } = writersLimits;
    const all = { gitDir: this.#gitDir, lockTimeoutMs, ...options, writersFile: this.#file };
    const isFreed = async (error: Error) => {
      const lock = lockNamed(error);
      return lock !== undefined && (await this.#isFreed(lock));
    };
    return retry(() => this.#git.run(args, all), { mayPass: isFreed, triesMax: writersLimits.triesMax });
  }

  /** Removes stale lock files if no git of ours is running in the store now. */
  async removeLeft(): Promise<void> {
    if (this.#git.hasFlock) await withExclusiveFlock(this.#file, 0, () => this.#remove());
  }

  /** Waits until every git of ours in the store has ended, and removes stale lock files. Returns false if one doesn't end in time. */
  async #isFreed(lock: string): Promise<boolean> {
    if (!this.#git.hasFlock) return false;
    return this.#locks.hold(this.#name, async () => {
      if (!existsSync(lock)) return true;
      return withExclusiveFlock(this.#file, writersLimits.waitSeconds, () => this.#remove());
    });
  }

  #remove(): void {
    for (const { path, recursive } of folders) {
      const folder = join(this.#gitDir, path);
      if (!existsSync(folder)) continue;
      for (const entry of readdirSync(folder, { recursive, withFileTypes: true })) {
        if (lockName.test(entry.name) && !entry.isDirectory())
          rmSync(join(entry.parentPath, entry.name), { force: true });
      }
    }
  }
}
