/**
 * Runs `git merge --ff-only` in a user's checkout, for one given branch.
 *
 * HEAD determines which branch git moves, and the user may switch branches at any moment. So git runs with a temporary
 * git directory, like that of a linked worktree. Its HEAD always names the target branch. Refs, objects, working tree
 * and index are the user's.
 *
 * Invariants:
 * 1. Only the target branch moves, by compare-and-set.
 * 2. Git locks the user's index while it changes the index and the files, so the user can't switch branches at this
 *    time. If the user switched branches before, git refuses to overwrite files that differ from the target's files.
 *    `settleCheckout` resets the files that git did overwrite.
 * 3. The temporary directory contains no data that is needed later. If this process dies, git still ends normally.
 * 4. Changes to the user's files are never aborted, so no function in this file takes a signal. If git is killed
 *    anyway, the next landing informs the user: see interruption.ts.
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

/**
 * Files that make git refuse a merge, with the reason. They are checked before git starts, since git itself looks for
 * them only in the temporary git directory.
 */
const unfinished: [string, string][] = [
  ['MERGE_HEAD', 'a merge is not concluded'],
  ['CHERRY_PICK_HEAD', 'a cherry-pick is not concluded'],
];

/**
 * Returns null on success, else the reason why git refused. Throws `git-failed` or `deadline-exceeded` if git was
 * killed.
 */
export async function fastForward(context: Context, origin: LocalOrigin, target: Target): Promise<string | null> {
  const { commit } = target;
  const { path, gitDir, indexFile } = target.checkout;
  const options = inCheckout(origin, path);
  for (const [file, reason] of unfinished) if (isThere(join(gitDir, file))) return reason;
  const own = ownHead(origin, gitDir, target.branch);
  try {
    // Without `--no-overwrite-ignore`, git would silently overwrite files of the user that ignore rules match.
    const args = ['merge', '--quiet', '--ff-only', '--no-autostash', '--no-stat', '--no-overwrite-ignore'];
    const { exitCode, stderr } = await context.git.run(
      // With a split index, git would write a part of the index to the temporary directory.
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

/** Returns the ref of the branch that is checked out; '' if there is none. */
export const headOf = (context: Context, origin: LocalOrigin, { checkout }: Target): Promise<string> =>
  context.git.text(['symbolic-ref', '--quiet', 'HEAD'], { ...inCheckout(origin, checkout.path), answers: [1] });

/**
 * Finishes the checkout after the branch has moved. If the target branch is still checked out, sets ORIG_HEAD, like a
 * merge by the user. If the user has switched to another branch during the landing, resets the landing's files to that
 * branch. Returns null on success, else the reason of the failure.
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
    // The landing doesn't depend on ORIG_HEAD, so errors are ignored.
    await context.git.run(['update-ref', 'ORIG_HEAD', oldTip], { ...options, answers: [1, 128], runsToEnd: true });
    return null;
  }
  await context.git.run(['update-index', '-q', '--refresh'], { ...options, answers: [1, 128] });
  // Moves the working tree from the target's tree to HEAD's tree. Git refuses if it would overwrite the user's own
  // changes.
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

/**
 * Creates a git directory whose HEAD names the branch. It shares the rest with the user's git directory. Files that
 * belong to a HEAD are linked if git only reads them or appends to them.
 */
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

/**
 * Changes the owner of a folder and its content. The folder comes last. Otherwise its new owner could replace an entry
 * before the entry's owner is changed.
 */
function giveTo(account: Account | null, folder: string): void {
  if (account === null) return;
  for (const name of readdirSync(folder)) lchownSync(join(folder, name), account.uid, account.gid);
  chownSync(folder, account.uid, account.gid);
}
