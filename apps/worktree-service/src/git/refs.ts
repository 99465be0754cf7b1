import type { Git, GitOptions } from './git.ts';

/**
 * Reads refs and returns their commits by full ref name. Skips refs to other objects than commits. A pattern is a full
 * ref name or a folder of refs.
 */
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

/** Builds the input of `update-ref --stdin` that changes several refs atomically. */
export const refTransaction = (commands: readonly string[]): string =>
  ['start', ...commands, 'prepare', 'commit', ''].join('\n');

/**
 * Changes several refs of a user's repository atomically. A signal can only prevent the start, since a killed git
 * process may leave lock files. Throws `git-contention` if a ref has moved or is locked. Never removes lock files of
 * the user's repository.
 */
export async function updateUserRefs(git: Git, options: GitOptions, reason: string, commands: string[]): Promise<void> {
  const input = refTransaction(commands);
  await git.run(['update-ref', '-m', reason, '--stdin'], { ...options, input, runsToEnd: true });
}
