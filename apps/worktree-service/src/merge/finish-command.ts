import { CoppiceError } from '@coppice/contracts';
import type { worktreeCalls } from '@coppice/contracts';
import type { z } from 'zod';
import type { Context } from '../context.ts';
import { checkBranchName, commitId, inOrigin, localRefs } from '../repository/origin.ts';

const mergeOf = (commit: string): string => `merge --no-overwrite-ignore ${commit}`;

/**
 * Returns the command that finishes a pending landing. The command names the commit and not a ref, since the ref may
 * move to a later landing that doesn't contain the commit.
 */
export const mergeCommand = (path: string, commit: string): string => `git -C ${shellQuote(path)} ${mergeOf(commit)}`;

export const stashCommand = (path: string): string => `git -C ${shellQuote(path)} stash push --include-untracked`;

/**
 * Like `mergeCommand`, for a checkout in which the user's changes can't be distinguished from those of an interrupted
 * landing. The command first saves all changes to the stash.
 */
export const stashAndMergeCommand = (path: string, commit: string): string =>
  `${stashCommand(path)} && ${mergeCommand(path, commit)}`;

export const shellQuote = (text: string): string =>
  /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

type Input = Pick<z.output<typeof worktreeCalls.finishedLandings.input>, 'landings'>;

/**
 * Reports for each landing whether the branch contains its commit, so whether the user has finished the landing. False
 * if this can't be determined. Read-only.
 */
export async function finishedLandings(
  context: Context,
  { landings }: Input,
  signal?: AbortSignal,
): Promise<{ finished: boolean[] }> {
  const finished: boolean[] = [];
  for (const landing of landings) {
    try {
      finished.push(await isFinished(context, landing, signal));
    } catch (error) {
      // A missing repository doesn't affect the other landings.
      if (!(error instanceof CoppiceError)) throw error;
      finished.push(false);
    }
  }
  return { finished };
}

async function isFinished(
  context: Context,
  { repository, branch, commit, finishCommand }: Input['landings'][number],
  signal?: AbortSignal,
): Promise<boolean> {
  // Any other command repairs a checkout whose branch already has the commit. So the branch doesn't show whether the
  // command was run.
  if (!finishCommand.endsWith(` ${mergeOf(commitId(commit, 'commit'))}`)) return false;
  const [origin] = await Promise.all([
    context.origins.find(repository),
    checkBranchName(context.git, branch, 'branch'),
  ]);
  if (origin.kind !== 'local') return false;
  const branchRef = `refs/heads/${branch}`;
  const tip = (await localRefs(context.git, origin, [branchRef], signal)).get(branchRef);
  if (tip === undefined) return false;
  const options = { ...inOrigin(origin), answers: [1, 128], signal };
  return context.git.test(['merge-base', '--is-ancestor', commit, tip], options);
}
