/**
 * Garbage collection in tasks.git. It removes objects that no ref reaches any more, such as earlier checkpoints.
 *
 * Invariants:
 * 1. Collection runs only while no task on this disk uses the repository. A task can't start to use the repository
 *    during a collection, since both need the collection lock.
 * 2. origin.git is never collected, since sandboxes and tasks.git borrow its objects.
 * 3. The store of a shallow repository is never collected, since git would shorten the `shallow` file that both stores
 *    share.
 * 4. Objects younger than an hour are kept, since a delayed command may be about to use them.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { removePartial } from '../upkeep.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';
import { collectionLock, livingTasks } from './living-tasks.ts';
import { bytesIn } from './space.ts';

const objectAgeSeconds = 3_600;
/** Time limit of each git command. It is short, since new tasks wait for the collection. */
const collectionMsMax = 4 * 60_000;
/** Growth in bytes below which a collection isn't worth its cost. */
const grownBytesMin = 64 * 1024 ** 2;

const noteOf = (store: Store): string => join(store.tasksGit, 'coppice-collected');

/** Bytes of objects after the last collection; 0 if there was none. */
function bytesAfterLast(store: Store): number {
  try {
    return Number(readFileSync(noteOf(store), 'utf8')) || 0;
  } catch {
    return 0;
  }
}

/**
 * Collects garbage if the objects have grown enough since the last collection.
 * @param grownMin bytes; default 64 MiB
 * @returns bytes freed; null if there was nothing to do or the collection isn't possible now
 */
export async function collectGarbage(
  context: Context,
  store: Store,
  options: { grownMin?: number; signal?: AbortSignal | undefined } = {},
): Promise<number | null> {
  if ((statSync(join(store.originGit, 'shallow'), { throwIfNoEntry: false })?.size ?? 0) > 0) return null;
  const objects = join(store.tasksGit, 'objects');
  const before = await bytesIn(objects);
  if (before === null || before - bytesAfterLast(store) < (options.grownMin ?? grownBytesMin)) return null;
  const collect = async (): Promise<number | null> => {
    const mayBeUsed = livingTasks(context).some(
      ({ uses }) => uses === null || uses.repositoryId === store.repositoryId,
    );
    if (mayBeUsed) return null;
    // Without this variable, git would remove an empty `shallow` file. In tasks.git, this file is a link to the file in
    // origin.git.
    const environment = { GIT_SHALLOW_FILE: '' };
    const expiry = `${objectAgeSeconds}.seconds.ago`;
    const run = (...args: string[]) =>
      store.maintain(args, { timeLimitMs: collectionMsMax, environment, signal: options.signal });
    removePartial(store.tasksGit, Date.now(), objectAgeSeconds * 1_000);
    await run('repack', '-A', '-d', '-l', '-q', `--unpack-unreachable=${expiry}`);
    await run('prune', `--expire=${expiry}`);
    const after = (await bytesIn(objects)) ?? before;
    writeFileAtomically(noteOf(store), String(after));
    return before - after;
  };
  return context.locks.hold(collectionLock(store.repositoryId), collect, { waitMsMax: 0 }).catch((error: unknown) => {
    if (error instanceof CoppiceError && error.code === 'git-contention') return null;
    throw error;
  });
}
