/**
 * Named locks that work across processes. If a process dies, the kernel releases its locks.
 *
 * Invariants:
 * 1. A lock has at most one holder among all processes of this machine that use the data folder.
 * 2. Within a process, waiters get the lock in order. Only the first waiter tries to lock the file.
 * 3. Waiting has a time limit, after which the caller gets `git-contention`.
 * 4. A holder removes the lock file before it releases the lock, since most names are used only once. So a new holder
 *    checks that its lock file is still in the folder. A lock on a removed file doesn't count.
 */
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { tryFileLock, type FileLock } from '@coppice/files';

const pollMsMin = 2;
const pollMsMax = 50;
const lockWaitMsDefault = 5 * 60_000;

export type LockOptions = { waitMsMax?: number; signal?: AbortSignal | undefined };

export class Locks {
  readonly #folder: string;
  readonly #queues = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Runs `work` while holding the lock. Throws `git-contention` if the lock isn't acquired in time, `cancelled` if
   * `signal` is aborted.
   */
  async hold<T>(name: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
    const deadline = performance.now() + (options.waitMsMax ?? lockWaitMsDefault);
    const before = this.#queues.get(name) ?? Promise.resolve();
    const turn = Promise.withResolvers<void>();
    const queue = before.then(() => turn.promise);
    this.#queues.set(name, queue);
    try {
      await this.#inTurn(name, before, deadline, options.signal);
      const lock = await this.#acquire(name, deadline, options.signal);
      try {
        return await work();
      } finally {
        lock.release();
      }
    } finally {
      turn.resolve();
      if (this.#queues.get(name) === queue) this.#queues.delete(name);
    }
  }

  async #inTurn(name: string, before: Promise<void>, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    const stop = new AbortController();
    const late = sleep(Math.max(0, deadline - performance.now()), 'late' as const, { signal: stop.signal });
    const aborted = Promise.withResolvers<'aborted'>();
    const onAbort = () => aborted.resolve('aborted');
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const first = await Promise.race([before.then(() => 'turn' as const), late, aborted.promise]);
      if (first === 'late') throw waitedTooLong(name);
      if (first === 'aborted') throw cancelled(name);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      late.catch(() => {});
      stop.abort();
    }
  }

  async #acquire(name: string, deadline: number, signal: AbortSignal | undefined): Promise<FileLock> {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    let pollMs = pollMsMin;
    for (;;) {
      if (signal?.aborted) throw cancelled(name);
      const lock = tryLock(join(this.#folder, `${name}.lock`));
      if (lock !== undefined) return lock;
      if (performance.now() >= deadline) throw waitedTooLong(name);
      await sleep(pollMs * (0.5 + Math.random()));
      pollMs = Math.min(pollMs * 2, pollMsMax);
    }
  }
}

const waitedTooLong = (name: string) => new CoppiceError('git-contention', `the lock ${name} was not free in time`);
const cancelled = (name: string) => new CoppiceError('cancelled', `waiting for the lock ${name} was cancelled`);

function tryLock(file: string): FileLock | undefined {
  const before = inodeOf(file);
  const lock = tryFileLock(file);
  if (lock === undefined) return undefined;
  if (before === undefined || inodeOf(file) !== before) {
    lock.release();
    // If the file didn't exist, `tryFileLock` has created it, so a second try can compare the inodes.
    return before === undefined ? tryLock(file) : undefined;
  }
  return {
    release: () => {
      rmSync(file, { force: true });
      lock.release();
    },
  };
}

const inodeOf = (file: string): bigint | undefined => statSync(file, { bigint: true, throwIfNoEntry: false })?.ino;
