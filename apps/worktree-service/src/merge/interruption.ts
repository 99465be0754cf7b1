/**
 * Describes to the user the changes that an interrupted fast-forward left in their checkout.
 *
 * Invariants:
 * 1. This module changes nothing in the checkout. Only the user can decide whether a changed, empty or missing file is
 *    their own change.
 * 2. An interruption never blocks a landing. A record is removed if its commits or checkout no longer exist, or if it
 *    explains no change in the checkout any more. If reading the checkout fails, the landing goes on, since git doesn't
 *    overwrite the user's changes either.
 */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { nulSeparated } from '../git/git.ts';
import { localRefs, type LocalOrigin } from '../repository/origin.ts';
import { forgetBegun, readBegun, type Begun } from './begun.ts';
import { shellQuote, stashCommand } from './finish-command.ts';
import { isGoneSoon } from './lock-file.ts';
import { checkoutFacts, inCheckout } from './user-worktrees.ts';

export type Interruption = { path: string; reason: string };

const filesShownMax = 20;

type Branch = { origin: LocalOrigin; repositoryId: string; branch: string; signal: AbortSignal | undefined };

/**
 * Describes the changes that an interrupted landing on the branch left. Null if there are none. The caller holds the
 * repository's landing lock.
 */
export async function interruptionOf(context: Context, branch: Branch): Promise<Interruption | null> {
  const begun = readBegun(context, branch.repositoryId, branch.branch);
  let reason: string | null = null;
  try {
    if (begun !== undefined) reason = await describeRemains(context, begun, branch);
  } catch (error) {
    if (branch.signal?.aborted === true) throw error;
    // The record stays, so that the next landing can try again.
    return null;
  }
  if (begun !== undefined && reason !== null) return { path: begun.path, reason };
  forgetBegun(context, branch.repositoryId, branch.branch);
  return null;
}

async function describeRemains(context: Context, begun: Begun, { origin, signal }: Branch): Promise<string | null> {
  const { path, branch, from, to } = begun;
  const ref = `refs/heads/${branch}`;
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return null;
  const facts = await checkoutFacts(context, origin, path, signal);
  // The path is another folder now, or the user has switched to another branch.
  if (facts?.isWhole !== true || facts.head !== ref) return null;
  const lock = `${facts.indexFile}.lock`;
  const isFree = await isGoneSoon(lock, signal);
  // If the branch has moved, git or the user has finished the landing.
  if ((await localRefs(context.git, origin, [ref], signal)).get(ref) !== from) return null;
  const changed = await changedFiles(context, origin, begun, signal);
  if (changed === null || changed.length === 0) return null;
  const shown = changed.slice(0, filesShownMax).map((file) => shellQuote(file));
  const more = changed.length - shown.length;
  const files = `${shown.join(', ')}${more === 0 ? '' : ` and ${more} more`}`;
  const hint = isFree ? '' : `; ${lock} exists: remove it once no git runs there`;
  return `git was stopped while it moved ${branch} from ${from} to ${to} in ${path}, or another git still runs there. These files differ from ${from}, by that landing or by your own changes: ${files}${hint}. Nothing was changed here. To undo the landing, look through the files and commit your own changes, or put all changes into the stash: ${stashCommand(path)}`;
}

/**
 * Lists the landing's files that differ in the checkout from the commit before the landing. Null if a commit no longer
 * exists.
 */
async function changedFiles(
  context: Context,
  origin: LocalOrigin,
  { path, from, to }: Begun,
  signal: AbortSignal | undefined,
): Promise<string[] | null> {
  const options = { ...inCheckout(origin, path), signal };
  const compare = ['diff-tree', '-r', '-z', '--name-status', '--no-renames', '--no-ext-diff', from, to, '--'];
  const [compared, status] = await Promise.all([
    context.git.run(compare, { ...options, answers: [128] }),
    context.git.run(['status', '--porcelain=v1', '-z', '--untracked-files=no', '--no-renames'], options),
  ]);
  if (compared.exitCode !== 0) return null;
  const ofUser = new Set(nulSeparated(status.stdout).map((line) => line.slice('XY '.length)));
  const fields = nulSeparated(compared.stdout);
  const changed: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const file = fields[index + 1] ?? '';
    if (ofUser.has(file) || (fields[index] === 'A' && isFileThere(path, file)))
      changed.push(Buffer.from(file, 'latin1').toString('utf8'));
  }
  return changed;
}

/** `file` is a byte string. */
function isFileThere(path: string, file: string): boolean {
  try {
    const name = Buffer.concat([Buffer.from(join(path, '/')), Buffer.from(file, 'latin1')]);
    return lstatSync(name, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // A parent folder of the path was replaced by a file.
    return false;
  }
}
