/**
 * The git processes that may lock something in one of our bare stores, and the lock files that killed ones leave there.
 *
 * Invariants:
 * 1. Such a git, and whatever it starts, holds a shared flock on the writers' file for as long as it lives: also where its service was
 *    killed meanwhile, and whichever of the processes and containers that share the data folder has started it. A fetch as the user is
 *    different: its flock process holds the lock until git ends, since a daemon of a credential helper would hold it for ever. Where both
 *    are ended by a signal, the lock may be free milliseconds before git has ended.
 * 2. Lock files are removed under the exclusive flock only. Nobody else writes to the store, so each that is there then was left.
 * 3. The writers' file lies outside of what sandboxes see: who can open it can hold the lock.
 * 4. Where `flock` is missing (macOS), nothing is removed. The error names the path.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Locks } from '../lock.ts';
import { lockNamed } from './failures.ts';
import { withExclusiveFlock } from './flock.ts';
import type { Git, GitOptions, GitResult } from './git.ts';

const writersLimits = {
  /** Each removes what is left, so a second one meets a lock that was left in the meantime. */
  triesMax: 4,
  /** A living git holds its locks for milliseconds, more on a busy machine. */
  waitSeconds: 60,
  /** Short: a lock that was left is found soon, and a living git is waited for with the flock. */
  lockTimeoutMs: 500,
} as const;

/** Git refuses to make `packed-refs` anew where a killed one has left `packed-refs.new`. */
const lockName = /\.lock$|^packed-refs\.new$/;
/** Worktrees' metadata is made anew where it was left half-made. */
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

  /** `file`: the writers' file. `name`: of the lock that those who remove locks take in turn. */
  constructor(git: Git, locks: Locks, parts: { gitDir: string; file: string; name: string }) {
    this.#git = git;
    this.#locks = locks;
    this.#gitDir = parts.gitDir;
    this.#file = parts.file;
    this.#name = parts.name;
  }

  /** Runs a git that may lock something in the store; again, where a lock was in its way that nobody holds. */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const { lockTimeoutMs } = writersLimits;
    const all = { gitDir: this.#gitDir, lockTimeoutMs, ...options, writersFile: this.#file };
    for (let tries = 1; ; tries++) {
      try {
        return await this.#git.run(args, all);
      } catch (error) {
        const lock = lockNamed(error);
        if (lock === undefined || tries === writersLimits.triesMax || !(await this.#isFreed(lock))) throw error;
      }
    }
  }

  /** Removes lock files that were left, if no git of ours is at work in the store just now. */
  async removeLeft(): Promise<void> {
    if (this.#git.hasFlock) await withExclusiveFlock(this.#file, 0, () => this.#remove());
  }

  /** Waits until every git of ours that was at work in the store has ended. False where one doesn't. */
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
