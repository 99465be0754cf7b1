import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { diskWatchEntriesMax, diskWatchIntervalMs, diskWatchRatio } from './limits.ts';
import { codeOf } from './reason.ts';

export interface DiskBudget {
  folders: readonly string[];
  bytesMax: number;
}

/**
 * A mounted folder has no quota of its own on common file systems, so somebody has to look. Resolves to true once a
 * budget is exceeded, false when aborted. Between two looks a command can overrun its budget by what it writes then.
 */
export async function watchDisk(budgets: readonly DiskBudget[], signal: AbortSignal): Promise<boolean> {
  let waitMs = diskWatchIntervalMs;
  while (!signal.aborted) {
    await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
    const started = performance.now();
    for (const budget of budgets) {
      if (signal.aborted) return false;
      if (await exceeds(budget, signal)) return true;
    }
    waitMs = Math.max(diskWatchIntervalMs, (performance.now() - started) * diskWatchRatio);
  }
  return false;
}

/**
 * Counts allocated blocks, so a sparse file costs what it costs. What vanishes during the walk is not counted. More
 * entries than can be watched, or a path too long to look at, count as exceeded: they would be a way to hide.
 */
export async function exceeds(budget: DiskBudget, signal: AbortSignal): Promise<boolean> {
  let bytes = 0;
  let entries = 0;
  const folders = [...budget.folders];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const directory = await opendir(folder).catch((error: unknown) => codeOf(error));
    if (directory === 'ENAMETOOLONG') return true;
    if (directory === undefined || typeof directory === 'string') continue;
    for await (const entry of directory) {
      if (signal.aborted) return false;
      if (++entries > diskWatchEntriesMax) return true;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      bytes += (await lstat(path).catch(() => ({ blocks: 0 }))).blocks * 512;
      if (bytes > budget.bytesMax) return true;
    }
  }
  return false;
}
