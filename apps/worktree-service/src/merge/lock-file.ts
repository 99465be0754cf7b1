import { lstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Maximum wait for a git of the user's, or for one that outlived this service's process. Both end by themselves. */
const lockWaitMsMax = 5_000;
const lockPollMs = 100;

/** Waits for a lock file of git to disappear. Returns false if it is still there after 5 s. */
export async function isGoneSoon(lock: string, signal?: AbortSignal): Promise<boolean> {
  const isThere = () => lstatSync(lock, { throwIfNoEntry: false }) !== undefined;
  for (let waitedMs = 0; waitedMs < lockWaitMsMax && isThere(); waitedMs += lockPollMs)
    await sleep(lockPollMs, undefined, { signal });
  return !isThere();
}
