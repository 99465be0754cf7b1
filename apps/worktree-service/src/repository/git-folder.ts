import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPlainFile } from './plain-file.ts';

/**
 * Finds the shared git directory of a folder as described in gitrepository-layout(5). Resolves symbolic links. Throws if the directory
 * doesn't exist.
 */
export function sharedGitDirOf(folder: string): string {
  const entry = join(folder, '.git');
  const link = lineOf(entry)?.replace(/^gitdir: /, '');
  const own = link === undefined ? (existsSync(entry) ? entry : folder) : resolve(folder, link);
  // As in git, symbolic links in the path are resolved before `..`.
  const real = realpathSync(own);
  return realpathSync(resolve(real, lineOf(join(real, 'commondir')) ?? ''));
}

const lineOf = (file: string): string | undefined => readPlainFile(file)?.replace(/[\r\n]+$/, '');
