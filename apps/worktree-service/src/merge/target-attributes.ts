/**
 * Applies the target's .gitattributes to a merge in a bare store.
 *
 * Git reads merge attributes from the working tree. In a bare repository, git reads only info/attributes, which all
 * merges in a store share. So each merge gets its own working tree, which contains only the target's .gitattributes
 * files.
 *
 * Invariant: no external merge driver runs. Git finds a driver's command only in the configuration, which Coppice
 * writes itself: see git.ts. For an unknown driver, git uses its normal three-way merge.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { GitOptions } from '../git/git.ts';
import type { Store } from '../repository/store.ts';
import { listTree, type TreeEntry } from '../worktree/checkout.ts';

/**
 * Calls `work` with git options for a merge into `tip`. The caller holds the lock `merge-NAME`, where NAME is `name`.
 */
export async function withTargetAttributes<T>(
  context: Context,
  store: Store,
  parts: { tip: string; name: string; signal: AbortSignal | undefined },
  work: (options: GitOptions) => Promise<T>,
): Promise<T> {
  const { signal } = parts;
  const files = [...(await listTree(context, store, parts.tip, signal))].filter(isAttributesFile);
  if (files.length === 0) return work({ ...store.tasks, signal });
  const folder = store.scratchFolder(`merge-${parts.name}`);
  const workTree = join(folder, 'tree');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(workTree, { recursive: true, mode: 0o700 });
  try {
    const options = { ...store.tasks, workTree, cwd: workTree, signal };
    const indexFile = join(folder, 'index');
    const entries = files.map(([path, { mode, objectId }]) => `${mode} ${objectId}\t${path}\0`).join('');
    // Git rejects paths that lead out of the folder.
    await context.git.run(['update-index', '-z', '--index-info'], {
      ...options,
      indexFile,
      input: Buffer.from(entries, 'latin1'),
    });
    await context.git.run(['checkout-index', '--all', '--quiet'], { ...options, indexFile });
    return await work(options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Only regular files count, since git doesn't follow a symbolic link of this name. */
const isAttributesFile = ([path, { mode }]: [string, TreeEntry]): boolean =>
  mode.startsWith('100') && /(?:^|\/)\.gitattributes$/.test(path);
