/**
 * Locks by flock(2), which the program `flock` of util-linux acquires. MacOS doesn't have this program. The kernel
 * releases a lock when the last process that inherited the lock's descriptor ends. A lock also works between containers
 * that share a folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/**
 * Maximum wait for a shared lock. A process holds an exclusive lock only for milliseconds, unless the process is
 * suspended.
 */
const sharedWaitSeconds = 60;
/** Exit code of `flock` after a timeout. Git never exits with this code. */
export const flockBusyCode = 75;
const firstExtraDescriptor = 3;

export async function canFlock(file: string): Promise<boolean> {
  return (await ended('flock', ['--shared', '--no-fork', file, 'true'])) === 0;
}

/**
 * Returns the words to put before a command, so that a shared lock on `file` is held while the command runs.
 * @param inherit if true, the command and all its children hold the lock. If false, only the `flock` process holds it,
 * until the command ends. Use false for commands that may start a daemon.
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
