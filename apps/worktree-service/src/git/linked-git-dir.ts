import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Creates a git directory like that of a linked worktree. It shares the store's objects, refs and configuration, and
 * has its own HEAD, FETCH_HEAD and refs under refs/worktree/. An existing folder is replaced.
 */
export function linkGitDir(folder: string, store: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/none\n');
  writeFileSync(join(folder, 'commondir'), `${store}\n`);
}
