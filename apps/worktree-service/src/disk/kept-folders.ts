/** Folders with work that could not be imported. kept-work.ts limits their age and size. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Sizes } from './sizes.ts';

/** Assumed size of a folder that can't be measured. It is the largest size that a task may leave. */
const unmeasuredBytes = 10 * 1024 ** 3;

type KeptFolder = {
  path: string;
  keptAtMs: number;
  /** Size that counts towards the limit. It includes the folder's share of the disk's inodes. */
  bytes: number;
};

/** Lists the kept folders, newest first. */
export async function keptFolders(context: Context, sizes: Sizes): Promise<KeptFolder[]> {
  const folders: KeptFolder[] = [];
  for (const name of readdirSync(context.layout.rescue)) {
    const path = join(context.layout.rescue, name);
    // The rename that kept the folder set its ctime. An agent could set the mtime.
    const keptAtMs = lstatSync(path, { throwIfNoEntry: false })?.ctimeMs;
    if (keptAtMs !== undefined)
      folders.push({ path, keptAtMs, bytes: (await sizes.weightOf(path)) ?? unmeasuredBytes });
  }
  return folders.toSorted((one, other) => other.keptAtMs - one.keptAtMs);
}
