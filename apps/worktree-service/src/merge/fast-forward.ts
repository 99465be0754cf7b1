/**
 * `git merge --ff-only` in a checkout of the user's, of the one branch that was meant.
 *
 * Git asks HEAD which branch to move, and the user may switch branches at any moment. So git gets a HEAD of its own: a temporary git
 * directory, like a linked worktree's, whose HEAD always names the target, over the user's refs, objects, working tree and index.
 *
 * Invariants:
 * 1. No branch but the target moves, by compare-and-set.
 * 2. The user's index is locked by git while it and the files change: a switch comes wholly before, or wholly after. Where it came
 *    before, git refuses files that differ from the target's; files that don't differ are given back by `settleCheckout`.
 * 3. The temporary directory holds nothing that can't be lost. A git that outlives this process ends as if it hadn't.
 * 4. What changes the user's files is not aborted. So nothing here takes a signal; git's own time limit only ends one that hangs. Where git is
 *    ended all the same, the next landing finds the note that it had begun, and tells the user: see interruption.ts.
 */
import {
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { gitLimits, operand, type Account } from '../git/git.ts';
import type { LocalOrigin } from '../repository/origin.ts';
import { inCheckout, type CleanCheckout } from './user-worktrees.ts';

export type Target = { checkout: CleanCheckout; branch: string; commit: string };

/** What git would look for in the HEAD's own directory, and refuse. */
const unfinished: [string, string][] = [
  ['MERGE_HEAD', 'a merge is not concluded'],
  ['CHERRY_PICK_HEAD', 'a cherry-pick is not concluded'],
];

/** Null where git has done it, else its reason against it. Throws `git-failed` or `deadline-exceeded` where git was ended. */
export async function fastForward(context: Context, origin: LocalOrigin, target: Target): Promise<string | null> {
  const { commit } = target;
  const { path, gitDir, indexFile } = target.checkout;
  const options = inCheckout(origin, path);
  for (const [file, reason] of unfinished) if (isThere(join(gitDir, file))) return reason;
  const own = ownHead(origin, gitDir, target.branch);
  try {
    // Files that the user's ignore rules name are theirs too; git would replace them without a word.
    const args = ['merge', '--quiet', '--ff-only', '--no-autostash', '--no-stat', '--no-overwrite-ignore'];
    const { exitCode, stderr } = await context.git.run(
      // A split index would leave one half in the temporary directory.
      ['-c', 'core.splitIndex=false', ...args, operand(commit)],
      {
        ...options,
        gitDir: own,
        workTree: path,
        indexFile,
        timeLimitMs: gitLimits.timeMsLong,
        answers: [1, 2, 128],
      },
    );
    if (exitCode === 0) return null;
    return oneLine(stderr) || `exit code ${exitCode}`;
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** The branch that the checkout is on; '' for none. */
export const headOf = (context: Context, origin: LocalOrigin, { checkout }: Target): Promise<string> =>
  context.git.text(['symbolic-ref', '--quiet', 'HEAD'], { ...inCheckout(origin, checkout.path), answers: [1] });

/**
 * After the target has moved: what git does for a checkout's own HEAD. Where the user is on another branch by now, files of the
 * target's that the checkout got go back to that branch's. The answer is null, or why that couldn't be done.
 */
export async function settleCheckout(
  context: Context,
  origin: LocalOrigin,
  target: Target,
  oldTip: string,
): Promise<string | null> {
  const { checkout, commit } = target;
  const options = inCheckout(origin, checkout.path);
  if ((await headOf(context, origin, target)) === `refs/heads/${target.branch}`) {
    // A help to the user, not part of the landing.
    await context.git.run(['update-ref', 'ORIG_HEAD', oldTip], { ...options, answers: [1, 128], runsToEnd: true });
    return null;
  }
  await context.git.run(['update-index', '-q', '--refresh'], { ...options, answers: [1, 128] });
  // From the target's tree to HEAD's: what is HEAD's already stays, what is the user's own is refused.
  const { exitCode, stderr } = await context.git.run(['read-tree', '-m', '-u', commit, 'HEAD'], {
    ...options,
    timeLimitMs: gitLimits.timeMsLong,
    answers: [1, 128],
  });
  return exitCode === 0 ? null : oneLine(stderr) || `exit code ${exitCode}`;
}

const oneLine = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .slice(0, 500);

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** A git directory over the user's whose HEAD names the branch. What git keeps per HEAD, and reads or appends to, is linked to. */
function ownHead(origin: LocalOrigin, gitDir: string, branch: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-head-'));
  writeFileSync(join(folder, 'HEAD'), `ref: refs/heads/${branch}\n`);
  writeFileSync(join(folder, 'commondir'), `${origin.gitDir}\n`);
  for (const part of ['info', 'logs']) mkdirSync(join(folder, part));
  const halves = readdirSync(gitDir).filter((name) => /^sharedindex\.[0-9a-f]+$/.test(name));
  for (const name of ['config.worktree', 'info/sparse-checkout', 'logs/HEAD', ...halves]) {
    if (existsSync(join(gitDir, name))) symlinkSync(join(gitDir, name), join(folder, name));
  }
  giveTo(origin.account, folder);
  return folder;
}

/** The folder last: until then nobody else can change what is in it. */
function giveTo(account: Account | null, folder: string): void {
  if (account === null) return;
  for (const name of readdirSync(folder)) lchownSync(join(folder, name), account.uid, account.gid);
  chownSync(folder, account.uid, account.gid);
}
