import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Makes a git directory over a store, as a linked worktree's is: it borrows the store's objects, refs and configuration, and has a HEAD, a
 * FETCH_HEAD and refs under refs/worktree/ of its own. What was there before is removed.
 */
export function linkGitDir(folder: string, store: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/none\n');
  writeFileSync(join(folder, 'commondir'), `${store}\n`);
}
