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

/** What `update-ref --stdin` reads to change several refs, all or none. */
export const refTransaction = (commands: readonly string[]): string =>
  ['start', ...commands, 'prepare', 'commit', ''].join('\n');

/**
 * Changes several refs of a user's repository, all or none. Runs to its end once it has begun: an ended git leaves locks. Throws `git-contention`
 * where a ref has moved, or a lock is held; locks of the user's are never removed.
 */
export async function updateUserRefs(git: Git, options: GitOptions, reason: string, commands: string[]): Promise<void> {
  const input = refTransaction(commands);
  await git.run(['update-ref', '-m', reason, '--stdin'], { ...options, input, runsToEnd: true });
}
