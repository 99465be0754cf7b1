/**
 * Moves a target branch to a commit that was verified on exactly that tip, once, wherever the branch is.
 *
 * Invariants:
 * 1. The branch moves only from the tip that was verified, by compare-and-set (locally a ref transaction or `merge --ff-only`, at a
 *    remote a push with lease). A moved tip is an answer, not an error.
 * 2. Once: a repeat finds `refs/coppice/done/<effectId>`, set in the same transaction (of a remote: in tasks.git, after the push), or else
 *    the commit itself in the branch's history (an object is made once, for one landing), or at a remote whose history was rewritten its
 *    `Coppice-Effect:` trailer.
 * 3. A user's checkout is never changed behind their back: see land-local.ts.
 */
import { CoppiceError } from '@coppice/contracts';
import { openRepository, type Context } from '../context.ts';
import { safeName } from '../layout.ts';
import { checkBranchName, commitId, inOrigin } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import { mergedRef } from '../rescue.ts';
import { forgetDone } from '../upkeep.ts';
import { landLocally } from './land-local.ts';
import { landRemotely } from './land-remote.ts';
import { candidateRef } from './prepare-merge.ts';

export type LandInput = {
  effectId: string;
  taskId: string;
  repository: string;
  targetBranch: string;
  expectedTip: string;
  commit: string;
};
export type Landing =
  | { status: 'landed'; commit: string }
  | { status: 'moved'; tip: string }
  | { status: 'landed-pending'; commit: string; reason: string; finishCommand: string };

/** Throws `landing-refused` where the target can't be written, `branch-not-found` where it is gone. */
export async function land(context: Context, input: LandInput, signal?: AbortSignal): Promise<Landing> {
  const doneRef = `refs/coppice/done/${safeName(input.effectId, 'effectId')}`;
  const taskId = safeName(input.taskId, 'taskId');
  const commit = commitId(input.commit, 'commit');
  const expectedTip = commitId(input.expectedTip, 'expectedTip');
  await checkBranchName(context.git, input.targetBranch, 'targetBranch');
  const { origin, store } = await openRepository(context, input.repository);
  if (!store.exists || !(await store.has(commit, signal))) {
    throw new CoppiceError('not-found', `the commit ${commit} is not in the stores of this repository`);
  }
  const answer = await context.locks.hold(
    `land-${store.repositoryId}`,
    async () => {
      const request = { branch: input.targetBranch, commit, expectedTip, doneRef, signal };
      const landing =
        origin.kind === 'local'
          ? await landLocally(context, store, origin, request)
          : await landRemotely(context, store, origin, request);
      context.reached('landed');
      if (landing.status !== 'moved') await recordMerged(store, taskId);
      return landing;
    },
    { signal },
  );
  if (origin.kind === 'local') {
    const forgetOld = (nowMs: number) => forgetDone(context.git, inOrigin(origin), nowMs);
    await context.upkeep.daily(`landings of ${store.repositoryId}`, forgetOld);
  }
  return answer;
}

/** So that the task's removal knows that its branch isn't the only copy. Not aborted: what has landed is to be told, not that it took too long. */
async function recordMerged(store: Store, taskId: string): Promise<void> {
  const candidate = candidateRef(taskId);
  try {
    await store.updateRefs([`update ${mergedRef(taskId)} ${candidate}`]);
  } catch (error) {
    // Where there is none, there is nothing to note.
    if ((await store.resolve(candidate)) !== undefined) throw error;
  }
}
