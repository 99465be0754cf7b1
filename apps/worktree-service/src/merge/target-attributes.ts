/**
 * The target's .gitattributes for a merge in a bare store.
 *
 * Git reads merge attributes from a working tree, and from a bare repository only its info/attributes, which all merges of a store share. So each
 * merge gets a working tree of its own that holds the target's .gitattributes files and nothing else. Git itself reads them: nested files, macros,
 * `binary`, `conflict-marker-size`.
 *
 * Invariant: no external driver runs. One runs only where the configuration names its command, and the configuration is ours (see git.ts):
 * an unknown driver is git's usual three-way merge.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { GitOptions } from '../git/git.ts';
import type { Store } from '../repository/store.ts';
import { listTree, type TreeEntry } from '../worktree/checkout.ts';

/** Runs `work` with the options for a git that merges into `tip`. `name`: of this merge; the caller holds the lock `merge-NAME`. */
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
    // Git refuses paths that would lead out of the folder.
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

/** Git doesn't follow a link of this name. */
const isAttributesFile = ([path, { mode }]: [string, TreeEntry]): boolean =>
  mode.startsWith('100') && /(?:^|\/)\.gitattributes$/.test(path);
