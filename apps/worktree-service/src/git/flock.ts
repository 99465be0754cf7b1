/**
 * Locks by flock(2). The program `flock` of util-linux acquires them; macOS doesn't have this program. The kernel releases such a lock when
 * the last process that inherited its descriptor ends. Such a lock also works between containers that share a folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/** Long enough, since a process holds the exclusive lock only for milliseconds unless it is suspended. */
const sharedWaitSeconds = 60;
/** Exit code of a `flock` that timed out. Git doesn't use it. */
export const flockBusyCode = 75;
const firstExtraDescriptor = 3;

export async function canFlock(file: string): Promise<boolean> {
  return (await ended('flock', ['--shared', '--no-fork', file, 'true'])) === 0;
}

/**
 * Returns the words to put before a command, so that a shared lock on `file` is held while the command runs.
 * @param inherit true: the command replaces the flock process, and the command and all its children hold the lock. False: the flock process
 * holds the lock until the command ends; for commands that may start a daemon
 */
export function shareFlock(file: string, inherit: boolean): string[] {
  const wait = ['--timeout', `${sharedWaitSeconds}`, '--conflict-exit-code', `${flockBusyCode}`];
  // `flock` rejects `--no-fork` together with `--close`.
  return ['flock', '--shared', inherit ? '--no-fork' : '--close', ...wait, file];
}

/** Runs `work` under the exclusive lock. Returns false if the lock isn't free in time. */
export async function withExclusiveFlock(file: string, waitSeconds: number, work: () => void): Promise<boolean> {
  // The lock belongs to the open file description, so it outlives the `flock` process that took it.
  const descriptor = openSync(file, 'a', 0o600);
  try {
    const wait = waitSeconds === 0 ? ['--nonblock'] : ['--timeout', `${waitSeconds}`];
    const code = await ended('flock', ['--exclusive', ...wait, `${firstExtraDescriptor}`], descriptor);
    if (code !== 0) return false;
    work();
    return true;
  } finally {
    closeSync(descriptor);
  }
}

async function ended(program: string, words: string[], descriptor?: number): Promise<number | null> {
  const child = spawn(program, words, {
    stdio: ['ignore', 'ignore', 'ignore', ...(descriptor === undefined ? [] : [descriptor])],
  });
  const [code] = (await once(child, 'close').catch(() => [null])) as [number | null];
  return code;
}
