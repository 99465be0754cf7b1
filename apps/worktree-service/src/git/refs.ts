import type { Git, GitOptions } from './git.ts';

/** Full ref name → commit; what names no commit is left out. A pattern is a whole ref name or a folder of refs. */
export async function readRefs(git: Git, options: GitOptions, patterns: string[]): Promise<Map<string, string>> {
  const format = '--format=%(objectname) %(objecttype) %(refname)';
  const output = await git.text(['for-each-ref', format, ...patterns], options);
  const refs = new Map<string, string>();
  for (const line of output.split('\n')) {
    const [id, type, ref] = line.split(' ');
    if (id !== undefined && ref !== undefined && type === 'commit') refs.set(ref, id);
  }
  return refs;
}
