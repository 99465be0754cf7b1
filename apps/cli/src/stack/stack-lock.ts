import { setTimeout as sleep } from 'node:timers/promises';
import { tryFileLock } from '@coppice/service';
import type { FileLock } from '@coppice/service';
import type { Home } from './home.ts';

/**
 * Whoever only cleans up holds the lock for a moment; and a process that was killed counts as ended a moment before the kernel has freed
 * its locks. On a busy machine a moment is seconds.
 */
const waitMsMax = 5_000;
const pollMs = 20;

/** The lock of a home's stack; undefined where a stack holds it. */
export async function takeStackLock(home: Home): Promise<FileLock | undefined> {
  const end = performance.now() + waitMsMax;
  for (;;) {
    const lock = tryFileLock(home.lockFile);
    if (lock !== undefined || performance.now() > end) return lock;
    await sleep(pollMs);
  }
}
