/**
 * Landing at a remote, through git's own transport, with the user's credentials.
 *
 * A recorded landing isn't pushed again, even if it was undone at the remote. A commit is pushed twice only if this
 * process dies between the push and the record, and the branch is reset to its old commit before the repeat. The repeat
 * can't distinguish this from a push that never arrived.
 */
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { gitLimits, operand } from '../git/git.ts';
import { redactText } from '../repository/address.ts';
import { remoteBranches, type RemoteOrigin } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import type { Landing } from './land.ts';
import type { LandRequest } from './land-local.ts';

/** Maximum number of commits searched for the trailer in a rewritten history. */
const searchedCommitsMax = 2_000;

export async function landRemotely(
  context: Context,
  store: Store,
  origin: RemoteOrigin,
  request: LandRequest,
): Promise<Landing> {
  const { branch, commit, expectedTip, doneRef, signal } = request;
  const { tip } = await store.fetchTip(origin, branch, 'targetBranch', signal);
  const earlier = await findLanded(context, store, { commit, expectedTip, tip, signal });
  const done = (await store.refs([doneRef], signal)).get(doneRef);
  if (earlier !== undefined) {
    if (done === undefined) await store.updateRefs([`update ${doneRef} ${earlier}`], signal);
    return { status: 'landed', commit: earlier };
  }
  // The commit landed before, and that landing was undone. So the commit doesn't land again.
  if (done !== undefined) return { status: 'landed', commit: done };
  if (tip !== expectedTip) return { status: 'moved', tip };
  context.reached('landing-transferred');
  const pushed = await push(context, store, origin, {
    ref: `refs/heads/${branch}`,
    commit,
    lease: expectedTip,
    signal,
  });
  if (pushed === 'accepted') {
    // Not cancellable, since the remote already has the commit.
    await store.updateRefs([`update ${doneRef} ${commit}`]);
    return { status: 'landed', commit };
  }
  const now = await store.fetchTip(origin, branch, 'targetBranch', signal);
  if (now.tip === expectedTip)
    throw new CoppiceError('git-contention', `the push to ${branch} was rejected, but the branch has not moved`);
  return { status: 'moved', tip: now.tip };
}

/**
 * Finds the landing's commit in the branch's history. If a bot has rewritten the commit, finds the one with its
 * `Coppice-Effect` trailer.
 */
async function findLanded(
  context: Context,
  store: Store,
  parts: { commit: string; expectedTip: string; tip: string; signal: AbortSignal | undefined },
): Promise<string | undefined> {
  const { commit, expectedTip, tip, signal } = parts;
  if (tip === expectedTip) return undefined;
  if (await store.isAncestor(commit, tip, signal)) return commit;
  const format = '--format=%H %(trailers:key=Coppice-Effect,valueonly,separator=%x2C)';
  const own = await context.git.text(['log', '-1', format, commit], { ...store.tasks, signal });
  const effect = own.split(' ')[1] ?? '';
  if (effect === '') return undefined;
  const history = await context.git.text(['log', `--max-count=${searchedCommitsMax}`, format, tip, `^${expectedTip}`], {
    ...store.tasks,
    signal,
  });
  return history
    .split('\n')
    .find((line) => line.split(' ')[1] === effect)
    ?.split(' ')[0];
}

/**
 * Pushes a commit. `lease` is the expected value of the ref, or '' if the ref must not exist. Throws `landing-refused`
 * with the remote's message.
 */
export async function push(
  context: Context,
  store: Store,
  origin: RemoteOrigin,
  parts: { ref: string; commit: string; lease: string; signal: AbortSignal | undefined },
): Promise<'accepted' | 'stale'> {
  const { ref, commit, lease, signal } = parts;
  const args = [
    'push',
    '--porcelain',
    '--no-verify',
    '--no-follow-tags',
    '--recurse-submodules=no',
    `--force-with-lease=${ref}:${lease}`,
  ];
  const { exitCode, stdout, stderr } = await context.git.run(
    [...args, '--', operand(origin.address), `${commit}:${ref}`],
    {
      ...store.tasks,
      as: 'user',
      timeLimitMs: gitLimits.timeMsLong,
      answers: [1, 128],
      signal,
    },
  );
  if (exitCode === 0) return 'accepted';
  const rejection = /^!\t\S+\t(.*)$/m.exec(stdout.toString('utf8'))?.[1] ?? '';
  if (
    /stale info|fetch first|non-fast-forward|cannot lock ref|failed to update ref|incorrect old value/.test(rejection)
  )
    return 'stale';
  const said = redactText(stderr.trim()).split('\n').slice(-6).join(' | ').slice(0, 1_000);
  if (rejection !== '')
    throw new CoppiceError('landing-refused', `the remote refuses the push: ${rejection} ${said}`.trim());
  const denied = /denied|authentication|could not read (username|password)|not permitted|403|401/i.test(stderr);
  throw new CoppiceError(denied ? 'landing-refused' : 'git-failed', `the push failed: ${said}`);
}

/** Returns the tip of a branch at the remote; '' if the branch doesn't exist. */
export async function remoteTip(
  context: Context,
  origin: RemoteOrigin,
  branch: string,
  signal?: AbortSignal,
): Promise<string> {
  return (await remoteBranches(context.git, origin, [`refs/heads/${branch}`], signal)).get(branch) ?? '';
}
