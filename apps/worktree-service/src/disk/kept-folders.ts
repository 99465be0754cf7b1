/** Folders of work that could not be imported: within a size and an age, the oldest go first. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Expiry } from './removed.ts';
import type { Sizes } from './sizes.ts';

/** Assumed size of a folder that can't be measured: the most that a task may leave. */
const unmeasuredBytes = 10 * 1024 ** 3;

export type KeptFolder = { path: string; keptAtMs: number; bytes: number };

/** Newest first. */
export async function keptFolders(context: Context, sizes: Sizes): Promise<KeptFolder[]> {
  const folders: KeptFolder[] = [];
  for (const name of readdirSync(context.layout.rescue)) {
    const path = join(context.layout.rescue, name);
    // The rename that kept it set this. Its mtime is the agent's to set.
    const keptAtMs = lstatSync(path, { throwIfNoEntry: false })?.ctimeMs;
    if (keptAtMs !== undefined) folders.push({ path, keptAtMs, bytes: (await sizes.of(path)) ?? unmeasuredBytes });
  }
  return folders.toSorted((one, other) => other.keptAtMs - one.keptAtMs);
}

/** Removes what is too old, then the oldest until the rest fits. The newest stays whatever its size. */
export async function boundKeptFolders(context: Context, sizes: Sizes, nowMs: number): Promise<Expiry[]> {
  const { rescueAgeMsMax, rescueBytesMax } = context.disk;
  const removed: Expiry[] = [];
  let total = 0;
  for (const [index, folder] of (await keptFolders(context, sizes)).entries()) {
    total += folder.bytes;
    const isOld = nowMs - folder.keptAtMs > rescueAgeMsMax;
    if (!isOld && (index === 0 || total <= rescueBytesMax)) continue;
    context.trash.take(folder.path);
    removed.push({ what: folder.path, reason: isOld ? 'age' : 'size', bytes: folder.bytes });
  }
  return removed;
}
