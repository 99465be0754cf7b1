import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readPlainFile } from './plain-file.ts';

/** Where git's own files lead to now, as gitrepository-layout(5) tells: a link on the way may have been turned. Throws where that isn't there. */
export function sharedGitDirOf(folder: string): string {
  const entry = join(folder, '.git');
  const link = lineOf(entry)?.replace(/^gitdir: /, '');
  const own = link === undefined ? (existsSync(entry) ? entry : folder) : resolve(folder, link);
  // A link in it is followed before its `..`, as git does.
  const real = realpathSync(own);
  return realpathSync(resolve(real, lineOf(join(real, 'commondir')) ?? ''));
}

const lineOf = (file: string): string | undefined => readPlainFile(file)?.replace(/[\r\n]+$/, '');
