import { CoppiceError } from '@coppice/contracts';
import { openRepository, type Context } from '../context.ts';
import { updateUserRefs } from '../git/refs.ts';
import { safeName } from '../layout.ts';
import {
  checkBranchName,
  commitId,
  inOrigin,
  localRefs,
  type LocalOrigin,
  type RemoteOrigin,
} from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import { mergedRef } from '../rescue.ts';
import { push, remoteTip } from './land-remote.ts';
import { transfer } from './transfer.ts';
import { checkoutOf } from './user-worktrees.ts';

/** Maximum number of commits searched. A task adds only few commits to its base. */
const historyMax = 1_000;

export type PushBranchInput = { taskId: string; repository: string; branch: string; commit: string };

/**
 * Pushes a task's branch to the user's repository, for a pull request. An existing branch is only fast-forwarded.
 * Throws `landing-refused` if the push would overwrite other work.
 */
export async function pushBranch(
  context: Context,
  input: PushBranchInput,
  signal?: AbortSignal,
): Promise<{ branch: string }> {
  const taskId = safeName(input.taskId, 'taskId');
  const commit = commitId(input.commit, 'commit');
  await checkBranchName(context.git, input.branch, 'branch');
  if (!input.branch.startsWith(`coppice/${taskId}/`))
    throw new CoppiceError('invalid-request', `branch: expected a branch of task ${taskId}, got ${input.branch}`);
  const { origin, store } = await openRepository(context, input.repository);
  if (!store.exists || !(await store.has(commit, signal))) {
    throw new CoppiceError('not-found', `the commit ${commit} is not in the stores of this repository`);
  }
  await context.locks.hold(
    `land-${store.repositoryId}`,
    async () => {
      const target = { branch: input.branch, commit, signal };
      if (origin.kind === 'local') await pushLocally(context, store, origin, target);
      else await pushRemotely(context, store, origin, target);
      await store.updateRefs([`update ${mergedRef(taskId)} ${commit}`], signal);
    },
    { signal },
  );
  return { branch: input.branch };
}

type Target = { branch: string; commit: string; signal: AbortSignal | undefined };

const taken = (branch: string) =>
  new CoppiceError('landing-refused', `the branch ${branch} at the origin holds other work`);

async function pushLocally(
  context: Context,
  store: Store,
  origin: LocalOrigin,
  { branch, commit, signal }: Target,
): Promise<void> {
  const ref = `refs/heads/${branch}`;
  const old = (await localRefs(context.git, origin, [ref], signal)).get(ref);
  if (old === commit) return;
  const ours = old === undefined || ((await store.has(old, signal)) && (await store.isAncestor(old, commit, signal)));
  if (!ours || (await checkoutOf(context, origin, branch, signal)) !== null) throw taken(branch);
  await transfer(context, store, origin, {
    want: commit,
    have: old ?? (await commonCommit(context, store, origin, commit, signal)),
    signal,
  });
  const command = `update ${ref} ${commit} ${old ?? '0'.repeat(commit.length)}`;
  await updateUserRefs(context.git, { ...inOrigin(origin), signal }, 'coppice: push', [command]);
}

/** Finds the nearest commit in the task's history that the user's repository has. */
async function commonCommit(
  context: Context,
  store: Store,
  origin: LocalOrigin,
  commit: string,
  signal?: AbortSignal,
): Promise<string> {
  const history = await context.git.text(['rev-list', `--max-count=${historyMax}`, commit], { ...store.tasks, signal });
  const check = await context.git.text(['cat-file', '--batch-check=%(objectname)'], {
    ...inOrigin(origin),
    input: `${history}\n`,
    signal,
  });
  const there = check.split('\n').find((line) => !line.endsWith(' missing'));
  if (there === undefined)
    throw new CoppiceError(
      'landing-refused',
      "the user's repository no longer has the commit that the task began from",
    );
  return there;
}

async function pushRemotely(
  context: Context,
  store: Store,
  origin: RemoteOrigin,
  { branch, commit, signal }: Target,
): Promise<void> {
  const old = await remoteTip(context, origin, branch, signal);
  if (old === commit) return;
  if (old !== '' && !((await store.has(old, signal)) && (await store.isAncestor(old, commit, signal))))
    throw taken(branch);
  const pushed = await push(context, store, origin, { ref: `refs/heads/${branch}`, commit, lease: old, signal });
  if (pushed === 'stale') throw taken(branch);
}
