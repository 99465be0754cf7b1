import { setTimeout as sleep } from 'node:timers/promises';
import { tryFileLock } from '@coppice/files';
import type { FileLock } from '@coppice/files';
import type { Home } from './home.ts';

/**
 * Time to wait for the lock. A cleanup holds it only briefly, and the kernel frees the lock of a killed process shortly after that
 * process counts as ended. On a busy machine either can take seconds.
 */
const waitMsMax = 5_000;
const pollMs = 20;

/** Takes the lock of a home's stack; returns undefined if a stack holds it. */
export async function takeStackLock(home: Home): Promise<FileLock | undefined> {
  const end = performance.now() + waitMsMax;
  for (;;) {
    const lock = tryFileLock(home.lockFile);
    if (lock !== undefined || performance.now() > end) return lock;
    await sleep(pollMs);
  }
}
