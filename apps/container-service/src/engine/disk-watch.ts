/**
 * A mounted folder has no quota of its own on common file systems, so somebody has to look. Counting a large worktree
 * costs a second or more, so it is done only when it can matter:
 *
 * 1. A command that ends within `diskWatchIntervalMs` is never looked at.
 * 2. After a count, the next one waits until the whole file system has grown by what was left of the budget (asking for
 *    that costs nothing), or until `diskCountMsMax` has passed, since others may have freed what this one filled.
 * 3. Between two looks a command can overrun its budget by what it writes then.
 */
import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { diskCountMsMax, diskWatchEntriesMax, diskWatchIntervalMs, diskWatchRatio } from './limits.ts';
import { codeOf } from './reason.ts';

export interface DiskBudget {
  folders: readonly string[];
  bytesMax: number;
}

interface Count {
  bytes: number;
  freeBytes: number;
  /** By performance.now(). */
  at: number;
}

/** Resolves to true once a budget is exceeded, false when aborted. */
export async function watchDisk(budgets: readonly DiskBudget[], signal: AbortSignal): Promise<boolean> {
  const counts = new Map<DiskBudget, Count>();
  let waitMs = diskWatchIntervalMs;
  while (!signal.aborted) {
    await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    const started = performance.now();
    for (const budget of budgets) {
      if (signal.aborted) return false;
      const freeBytes = await freeBytesOf(budget);
      if (!canExceed(budget, counts.get(budget), freeBytes)) continue;
      const bytes = await usedBytes(budget, signal);
      if (bytes > budget.bytesMax && !signal.aborted) return true;
      counts.set(budget, { bytes, freeBytes, at: performance.now() });
    }
    waitMs = Math.max(diskWatchIntervalMs, (performance.now() - started) * diskWatchRatio);
  }
  return false;
}

function canExceed(budget: DiskBudget, last: Count | undefined, freeBytes: number): boolean {
  if (last === undefined || performance.now() - last.at > diskCountMsMax) return true;
  return last.bytes + (last.freeBytes - freeBytes) > budget.bytesMax;
}

/** Of all file systems that the folders lie on; one that several share counts several times, which only looks earlier. */
async function freeBytesOf({ folders }: DiskBudget): Promise<number> {
  let bytes = 0;
  for (const folder of folders) {
    const status = await statfs(folder).catch(() => undefined);
    if (status !== undefined) bytes += status.bfree * status.bsize;
  }
  return bytes;
}

/**
 * Counts allocated blocks, so a sparse file costs what it costs. What vanishes during the walk is not counted. More
 * entries than can be watched, or a path too long to look at, count as infinitely much: they would be a way to hide.
 */
export async function usedBytes(budget: DiskBudget, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  let entries = 0;
  const folders = [...budget.folders];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const directory = await opendir(folder).catch((error: unknown) => codeOf(error));
    if (directory === 'ENAMETOOLONG') return Number.POSITIVE_INFINITY;
    // A file that is mounted, or a folder that has gone.
    if (directory === undefined || typeof directory === 'string') continue;
    for await (const entry of directory) {
      if (signal.aborted) return bytes;
      if (++entries > diskWatchEntriesMax) return Number.POSITIVE_INFINITY;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      bytes += (await lstat(path).catch(() => ({ blocks: 0 }))).blocks * 512;
      if (bytes > budget.bytesMax) return bytes;
    }
  }
  return bytes;
}
