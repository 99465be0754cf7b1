import { CoppiceError } from '@coppice/contracts';
import type { worktreeCalls } from '@coppice/contracts';
import type { z } from 'zod';
import type { Context } from '../context.ts';
import { checkBranchName, commitId, inOrigin, localRefs } from '../repository/origin.ts';

const mergeOf = (commit: string): string => `merge --no-overwrite-ignore ${commit}`;

/** What finishes a landing that waits in a user's repository. The commit, not the ref: what is pending later may not contain it. */
export const mergeCommand = (path: string, commit: string): string => `git -C ${shellQuote(path)} ${mergeOf(commit)}`;

/** Puts all that is changed in a checkout where it can be got back from. */
export const stashCommand = (path: string): string => `git -C ${shellQuote(path)} stash push --include-untracked`;

/** The same for a checkout in which nobody can tell what of the changes is the user's: all of them are stashed first. */
export const stashAndMergeCommand = (path: string, commit: string): string =>
  `${stashCommand(path)} && ${mergeCommand(path, commit)}`;

export const shellQuote = (text: string): string =>
  /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

type Input = Pick<z.output<typeof worktreeCalls.finishedLandings.input>, 'landings'>;

/** Of each, whether the user has finished it: the branch has the commit. What can't be found out isn't finished. Only reads. */
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
      // A repository that is gone says nothing of the next one.
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
  // Another command mends a checkout whose branch has the commit from the beginning.
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
