/** Folders of work that could not be imported. Their bounds are in kept-work.ts. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Sizes } from './sizes.ts';

/** Assumed size of a folder that can't be measured: the most that a task may leave. */
const unmeasuredBytes = 10 * 1024 ** 3;

type KeptFolder = {
  path: string;
  keptAtMs: number;
  /** What it counts for: its inodes have a share of the disk, too. */
  bytes: number;
};

/** Newest first. */
export async function keptFolders(context: Context, sizes: Sizes): Promise<KeptFolder[]> {
  const folders: KeptFolder[] = [];
  for (const name of readdirSync(context.layout.rescue)) {
    const path = join(context.layout.rescue, name);
    // The rename that kept it set this. Its mtime is the agent's to set.
    const keptAtMs = lstatSync(path, { throwIfNoEntry: false })?.ctimeMs;
    if (keptAtMs !== undefined)
      folders.push({ path, keptAtMs, bytes: (await sizes.weightOf(path)) ?? unmeasuredBytes });
  }
  return folders.toSorted((one, other) => other.keptAtMs - one.keptAtMs);
}
