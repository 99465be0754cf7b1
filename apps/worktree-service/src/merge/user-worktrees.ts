/** Inspects the checkouts of the user's own repository. Read-only. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { nulSeparated, type GitOptions } from '../git/git.ts';
import { inOrigin, type LocalOrigin } from '../repository/origin.ts';
import { readPlainFile } from '../repository/plain-file.ts';
import { filterInCheckout } from './checkout-filters.ts';
import { isGoneSoon } from './lock-file.ts';

/** Checkout that can be fast-forwarded, as far as is known. */
export type CleanCheckout = { path: string; hindrance: null; gitDir: string; indexFile: string };
/** Checkout of a branch. If it can't be fast-forwarded now, `hindrance` is the reason. */
export type Checkout = CleanCheckout | { path: string; hindrance: string };

export const inCheckout = (origin: LocalOrigin, path: string): GitOptions => ({
  cwd: path,
  as: 'user',
  account: origin.account,
});

/** Returns null if the branch isn't checked out. */
export async function checkoutOf(
  context: Context,
  origin: LocalOrigin,
  branch: string,
  signal?: AbortSignal,
): Promise<Checkout | null> {
  const ref = `refs/heads/${branch}`;
  const { stdout } = await context.git.run(['worktree', 'list', '--porcelain', '-z'], { ...inOrigin(origin), signal });
  let path = '';
  let found: string | null = null;
  let gone = false;
  const paths: string[] = [];
  for (const line of [...nulSeparated(stdout), '']) {
    if (line.startsWith('worktree '))
      [path, gone] = [placeOf(origin, Buffer.from(line.slice('worktree '.length), 'latin1').toString('utf8')), false];
    else if (line.startsWith('prunable')) gone = true;
    else if (line === `branch ${ref}`) found ??= path;
    else if (line === '' && path !== '') {
      if (gone && found === path) found = null;
      if (!gone) paths.push(path);
    }
  }
  if (found !== null) return lookInto(context, origin, found, ref, signal);
  const busy = gitDirsOf(origin).some((gitDir) => headOfWork(gitDir).includes(ref));
  const somewhere = paths[0] ?? origin.address;
  return busy ? { path: somewhere, hindrance: `${branch} is being rebased or bisected in ${somewhere}` } : null;
}

async function lookInto(
  context: Context,
  origin: LocalOrigin,
  path: string,
  ref: string,
  signal?: AbortSignal,
): Promise<Checkout> {
  const facts = await checkoutFacts(context, origin, path, signal);
  if (facts?.head !== ref)
    return { path, hindrance: `git says that the branch is checked out in ${path}, but it is not` };
  if (await isDirty(context, origin, path, signal))
    return { path, hindrance: `the branch is checked out in ${path}, with changes that aren't committed` };
  // If the ref is locked, git would update the files first and only then fail to move the branch.
  const lock = join(origin.gitDir, `${ref}.lock`);
  if (!(await isGoneSoon(lock, signal)))
    return { path, hindrance: `${lock} is there: another git is at work, or one that was stopped left it` };
  const filter = await filterInCheckout(context.git, path, { ...inCheckout(origin, path), signal });
  if (filter !== null)
    return {
      path,
      hindrance: `git would run a file of ${path}, which tasks can change: the command of its filter ${filter.name} is ${filter.command}`,
    };
  return { path, hindrance: null, gitDir: facts.gitDir, indexFile: facts.indexFile };
}

/** `head` is the ref of the current branch. `isWhole` is true if the folder is the root of the working tree. */
type CheckoutFacts = { head: string; gitDir: string; indexFile: string; isWhole: boolean };

/**
 * Returns null if the folder isn't in a working tree of this repository. Git's record of a linked worktree may point to
 * a folder that now belongs to another repository.
 */
export async function checkoutFacts(
  context: Context,
  origin: LocalOrigin,
  path: string,
  signal?: AbortSignal,
): Promise<CheckoutFacts | null> {
  const options = { ...inCheckout(origin, path), answers: [1, 128], signal };
  const own = ['--is-inside-work-tree', '--show-prefix', '--symbolic-full-name', 'HEAD'];
  const places = ['--path-format=absolute', '--git-common-dir', '--absolute-git-dir', '--git-path', 'index'];
  const [inside, prefix, head = '', shared = '', gitDir = '', indexFile = ''] = (
    await context.git.text(['rev-parse', ...own, ...places], options)
  ).split('\n');
  if (inside !== 'true' || indexFile === '' || !isFolder(shared, origin.gitDir)) return null;
  return { head, gitDir, indexFile, isWhole: prefix === '' };
}

function isFolder(path: string, real: string): boolean {
  try {
    return realpathSync(path) === real;
  } catch {
    return false;
  }
}

/**
 * Returns the path of a checkout that git lists. If the git directory isn't named `.git`, git lists that directory
 * instead of the main checkout, and the repository's address is the right path.
 */
const placeOf = (origin: LocalOrigin, path: string): string => (path === origin.gitDir ? origin.address : path);

const gitDirsOf = (origin: LocalOrigin): string[] => {
  const linked = join(origin.gitDir, 'worktrees');
  return [origin.gitDir, ...(existsSync(linked) ? readdirSync(linked).map((name) => join(linked, name)) : [])];
};

/** Branches whose checkout is detached because git is rebasing or bisecting them. */
function headOfWork(gitDir: string): string[] {
  return ['rebase-merge/head-name', 'rebase-apply/head-name', 'BISECT_START'].flatMap((file) => {
    const name = readPlainFile(join(gitDir, file))?.trim();
    return name === undefined ? [] : [name, `refs/heads/${name}`];
  });
}

/**
 * Reports whether tracked files have uncommitted changes. Untracked files don't count, since git refuses to overwrite
 * them.
 */
async function isDirty(context: Context, origin: LocalOrigin, path: string, signal?: AbortSignal): Promise<boolean> {
  const { stdout } = await context.git.run(['status', '--porcelain=v1', '-z', '--untracked-files=no'], {
    ...inCheckout(origin, path),
    signal,
  });
  return stdout.length > 0;
}
