/**
 * Moves a target branch, exactly once, to a commit that was verified on the branch's current tip.
 *
 * Invariants:
 * 1. The branch moves by compare-and-set, only from the tip that was verified. A local branch is moved by a ref
 *    transaction or `merge --ff-only`, a remote branch by a push with lease. A moved tip is a result, not an error.
 * 2. A repeat recognizes a finished landing by `refs/coppice/done/<effectId>`. A ref transaction sets this ref together
 *    with the branch. After a fast-forward or a push, this ref is set in a second step. For a remote, the ref is in
 *    tasks.git. If the ref is missing, the repeat searches the branch's history for the commit, which was made for this
 *    landing only. If a remote has rewritten its history, the repeat searches for the `Coppice-Effect:` trailer.
 * 3. If the user's checkout can't be changed, the user gets a command that finishes the landing: see land-local.ts.
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

/** Throws `landing-refused` if the target isn't writable, `branch-not-found` if it doesn't exist any more. */
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

/**
 * Records that the task's branch isn't the only copy of its work, for the task's removal. Can't be cancelled, since the
 * reply must be the landing's result and not a timeout.
 */
async function recordMerged(store: Store, taskId: string): Promise<void> {
  const candidate = candidateRef(taskId);
  try {
    await store.updateRefs([`update ${mergedRef(taskId)} ${candidate}`]);
  } catch (error) {
    // If there is no candidate ref, there is nothing to record.
    if ((await store.resolve(candidate)) !== undefined) throw error;
  }
}
