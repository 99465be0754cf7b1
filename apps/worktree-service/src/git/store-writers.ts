/**
 * Runs git processes that may lock files in one of Coppice's bare stores, and removes the lock files that killed git
 * processes leave.
 *
 * Invariants:
 * 1. Such a git process and its children hold a shared flock on the writers' file until they end, even if the service
 *    is killed before. The flock works between all processes and containers that share the data folder. During a fetch
 *    in `user` mode, only the `flock` process holds the lock, since a credential helper's daemon would hold it forever.
 *    If a signal ends git and the `flock` process, the lock may be free milliseconds before git has ended.
 * 2. Lock files are removed only under the exclusive flock. While the exclusive flock is held, no git process writes to
 *    the store, so every lock file is stale.
 * 3. Sandboxes can't see the writers' file, since a process that can open the file can also lock it.
 * 4. If the program `flock` is missing, as on macOS, lock files aren't removed. The error of the failed git command
 *    names the lock file.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { retry } from '@coppice/service';
import type { Locks } from '../lock.ts';
import { lockNamed } from './failures.ts';
import { withExclusiveFlock } from './flock.ts';
import type { Git, GitOptions, GitResult } from './git.ts';

const writersLimits = {
  /**
   * Each retry first removes all stale lock files. Several retries are allowed, since another killed process may leave
   * a new lock file.
   */
  triesMax: 4,
  /** Maximum wait for running git processes. They hold their locks for milliseconds, on a busy machine for longer. */
  waitSeconds: 60,
  /**
   * Time that git waits for a lock file. It is short, so that a stale lock file is found soon. If a running git process
   * has the lock, the exclusive flock waits for that process.
   */
  lockTimeoutMs: 500,
} as const;

/**
 * Names of lock files. `packed-refs.new` is one too, since git refuses to rewrite `packed-refs` while this file exists.
 */
const lockName = /\.lock$|^packed-refs\.new$/;
/**
 * Folders that may contain lock files. The metadata of worktrees isn't listed, since `prepare` creates incomplete
 * metadata again.
 */
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

  /** `file` is the writers' file. `name` is the lock that serializes removals of lock files. */
  constructor(git: Git, locks: Locks, parts: { gitDir: string; file: string; name: string }) {
    this.#git = git;
    this.#locks = locks;
    this.#gitDir = parts.gitDir;
    this.#file = parts.file;
    this.#name = parts.name;
  }

  /**
   * Runs a git command that may lock files in the store. If the command failed because of a stale lock file, removes that file and runs the
   * command again.
   */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const { lockTimeoutMs } = writersLimits;
    const all = { gitDir: this.#gitDir, lockTimeoutMs, ...options, writersFile: this.#file };
    const isFreed = async (error: Error) => {
      const lock = lockNamed(error);
      return lock !== undefined && (await this.#isFreed(lock));
    };
    return retry(() => this.#git.run(args, all), { mayPass: isFreed, triesMax: writersLimits.triesMax });
  }

  /** Removes stale lock files if none of Coppice's git processes is running in the store now. */
  async removeLeft(): Promise<void> {
    if (this.#git.hasFlock) await withExclusiveFlock(this.#file, 0, () => this.#remove());
  }

  /**
   * Waits until all of Coppice's git processes in the store have ended, then removes stale lock files. Returns false if a process doesn't
   * end in time.
   */
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
