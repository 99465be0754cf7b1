import { CoppiceError, nearestFirst } from '@coppice/contracts';
import { tryGit } from '../git.ts';

const branchesShownMax = 5;

/**
 * Checks that a local repository has the branch, so that no stack is started for a misspelt branch. Checks nothing for
 * a URL or if git fails, since the stack checks the branch too.
 * @throws CoppiceError `branch-not-found`
 */
export async function requireBranch(repository: string, branch: string): Promise<void> {
  if (!repository.startsWith('/')) return;
  const newestFirst = ['for-each-ref', '--sort=-committerdate', '--format=%(refname:lstrip=2)', 'refs/heads/'];
  const { exitCode, out } = await tryGit(repository, ...newestFirst);
  if (exitCode !== 0) return;
  const branches = out.split('\n').filter((name) => name !== '');
  if (branches.includes(branch)) return;
  const nearest = nearestFirst(branch, branches).slice(0, branchesShownMax).join(', ');
  const expected = nearest === '' ? 'a branch (the repository has none)' : `one of ${nearest}`;
  throw new CoppiceError('branch-not-found', `baseBranch: no branch ${JSON.stringify(branch)} in the repository`, {
    details: { issues: [{ field: 'baseBranch', expected, received: branch }] },
  });
}
