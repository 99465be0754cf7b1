/**
 * flock(2), by util-linux's `flock`, which Linux has and macOS lacks. The kernel frees such a lock when the last process that inherited its
 * descriptor has ended, and it holds between containers that share a folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/** The exclusive lock is held for milliseconds, unless its holder was stopped. */
const sharedWaitSeconds = 60;
/** Exit code of a flock that waited in vain. Not one of git's. */
export const flockBusyCode = 75;
const firstExtraDescriptor = 3;

export async function canFlock(file: string): Promise<boolean> {
  return (await ended('flock', ['--shared', '--no-fork', file, 'true'])) === 0;
}

/**
 * The words to put before a command that is to hold a shared lock on `file` for as long as it lives.
 * @param inherit true: the command takes the place of flock, and it and all that it starts hold the lock. False: flock itself holds the lock
 * until the command ends, for a command that may start a daemon
 */
export function shareFlock(file: string, inherit: boolean): string[] {
  const wait = ['--timeout', `${sharedWaitSeconds}`, '--conflict-exit-code', `${flockBusyCode}`];
  // flock refuses both at once.
  return ['flock', '--shared', inherit ? '--no-fork' : '--close', ...wait, file];
}

/** Runs `work` under the exclusive lock; false where it is not free within the time. */
export async function withExclusiveFlock(file: string, waitSeconds: number, work: () => void): Promise<boolean> {
  // The lock belongs to what the descriptor refers to, so it outlives the flock that took it.
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
