import type { Context } from '../context.ts';
import { openRepository } from '../context.ts';
import { branchState, checkBranchName, commitId } from './origin.ts';
import { CoppiceError } from '@coppice/contracts';

export type Inspection = { repositoryId: string; repository: string; baseCommit: string };

/** Checks that a repository and its branch exist, without copying anything. Throws `repository-not-found`, `branch-not-found`. */
export async function inspect(
  context: Context,
  input: { repository: string; baseBranch: string },
  signal?: AbortSignal,
): Promise<Inspection> {
  const [origin] = await Promise.all([
    context.origins.find(input.repository),
    checkBranchName(context.git, input.baseBranch, 'baseBranch'),
  ]);
  const { tip } = await branchState(context.git, origin, input.baseBranch, 'baseBranch', signal);
  const { repositoryId, address } = origin;
  return { repositoryId, repository: address, baseCommit: tip };
}

/** Returns a unified diff between two commits in the stores, truncated at `bytesMax`. */
export async function diff(
  context: Context,
  input: { repository: string; baseCommit: string; commit: string; bytesMax: number },
  signal?: AbortSignal,
): Promise<{ patch: string; truncated: boolean }> {
  const [base, commit] = [commitId(input.baseCommit, 'baseCommit'), commitId(input.commit, 'commit')];
  const { store } = await openRepository(context, input.repository);
  if (!store.exists || !(await store.has(base, signal)) || !(await store.has(commit, signal))) {
    throw new CoppiceError('not-found', 'the commits are not in the stores of this repository');
  }
  const { stdout, truncated } = await context.git.run(
    ['diff', '--no-color', '--no-ext-diff', '--no-textconv', '--find-renames', base, commit, '--'],
    { ...store.tasks, outputBytesMax: input.bytesMax, truncate: true, signal },
  );
  return { patch: stdout.toString('utf8'), truncated };
}
