import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Creates a git directory on top of a store, like the git directory of a linked worktree. It shares the store's objects, refs and
 * configuration. It has its own HEAD, FETCH_HEAD and refs under refs/worktree/. If the folder exists, it is removed first.
 */
export function linkGitDir(folder: string, store: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/none\n');
  writeFileSync(join(folder, 'commondir'), `${store}\n`);
}
