import { lstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Maximum time to wait for the user's git, or for a git process of a killed service. */
const lockWaitMsMax = 5_000;
const lockPollMs = 100;

/** Waits for a lock file of git to disappear. Returns false if the file still exists after 5 s. */
export async function isGoneSoon(lock: string, signal?: AbortSignal): Promise<boolean> {
  const isThere = () => lstatSync(lock, { throwIfNoEntry: false }) !== undefined;
  for (let waitedMs = 0; waitedMs < lockWaitMsMax && isThere(); waitedMs += lockPollMs)
    await sleep(lockPollMs, undefined, { signal });
  return !isThere();
}
