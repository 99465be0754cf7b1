import { setTimeout as sleep } from 'node:timers/promises';
import { tryFileLock } from '@coppice/files';
import type { FileLock } from '@coppice/files';
import type { Home } from './home.ts';

/**
 * Time limit in milliseconds for the lock. `stopStack` holds it for a short time, and the kernel releases the lock of a
 * killed process with a delay. On a busy machine, both can take seconds.
 */
const waitMsMax = 5_000;
const pollMs = 20;

/** Takes the lock of a home's stack. Returns undefined if a running stack holds the lock. */
export async function takeStackLock(home: Home): Promise<FileLock | undefined> {
  const end = performance.now() + waitMsMax;
  for (;;) {
    const lock = tryFileLock(home.lockFile);
    if (lock !== undefined || performance.now() > end) return lock;
    await sleep(pollMs);
  }
}
