import { join } from 'node:path';
import type { Context } from '../context.ts';
import { fingerprint, handOver } from '../folders.ts';
import { gitLimits, nulSeparated, type GitOptions } from '../git/git.ts';
import type { Store } from '../repository/store.ts';
import { copyInto } from '../setup/copy-tree.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * Seconds by which the mtime of checked-out files is set back. Git reads a file again unless the file is older than
 * git's index.
 */
const ageSeconds = 60;

export type TreeEntry = { mode: string; objectId: string };

/** Lists every file of a tree by path (one character per byte). */
export async function listTree(
  context: Context,
  store: Store,
  tree: string,
  signal?: AbortSignal,
): Promise<Map<string, TreeEntry>> {
  const { stdout } = await context.git.run(['ls-tree', '-r', '-z', '--full-tree', tree], { ...store.tasks, signal });
  const entries = new Map<string, TreeEntry>();
  for (const line of nulSeparated(stdout)) {
    const tab = line.indexOf('\t');
    const [mode = '', , objectId = ''] = line.slice(0, tab).split(' ');
    entries.set(line.slice(tab + 1), { mode, objectId });
  }
  return entries;
}

type Checkout = {
  store: Store;
  tree: string;
  /** Folder to fill. It must be new and empty. */
  folder: string;
  /** Git directory and index for the checkout. Sandboxes must not be able to write them. */
  gitOptions: GitOptions;
  /** Folder of a sealed setup, or null. */
  setup: string | null;
  signal?: AbortSignal | undefined;
};

/**
 * Fills a folder with a tree, without converting file contents. Copies the setup's result into the folder, and makes
 * the sandboxes' user its owner. The change of owner changes the files' ctimes, and the index isn't refreshed.
 */
export async function checkOutFiles(context: Context, parts: Checkout): Promise<void> {
  // Without a setup, every file belongs to the tree, so no list of the tree's files is needed.
  await fill(context, parts, parts.setup !== null);
}

/** Like `checkOutFiles`, but refreshes the index. Returns the state of all files at that time. */
export async function checkOut(context: Context, parts: Checkout): Promise<Snapshot> {
  const snapshot = await fill(context, parts, true);
  await context.git.run(['update-index', '-q', '--refresh'], { ...optionsOf(parts), answers: [1] });
  return snapshot;
}

async function fill(context: Context, parts: Checkout, listed: boolean): Promise<Snapshot> {
  const { store, tree, folder, signal } = parts;
  const [entries] = await Promise.all([
    listed ? listTree(context, store, tree, signal) : null,
    context.git.run(['read-tree', '--reset', '-u', tree], { ...optionsOf(parts), timeLimitMs: gitLimits.timeMsLong }),
  ]);
  if (parts.setup !== null) await copyInto(parts.setup, folder, signal);
  const snapshot: Snapshot = new Map();
  await handOver(folder, context.sandboxOwner, {
    oldFiles: {
      mtime: Math.floor(Date.now() / 1_000) - ageSeconds,
      isOld: (path) => entries === null || entries.has(path),
    },
    onFile: (path, stat) => {
      snapshot.set(path, { fingerprint: fingerprint(stat), objectId: entries?.get(path)?.objectId ?? null });
    },
  });
  return snapshot;
}

const optionsOf = ({ gitOptions, folder, signal }: Checkout): GitOptions => ({
  ...gitOptions,
  workTree: folder,
  cwd: folder,
  signal,
});

/** Folder of a setup's sealed result. It may not exist. */
export const sealedFolder = (context: Context, setupKey: string): string =>
  join(context.layout.setup(setupKey), 'sealed');
