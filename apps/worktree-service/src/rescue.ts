import { CoppiceError } from '@coppice/contracts';
import type { Context } from './context.ts';
import type { Store } from './repository/store.ts';

const rescueTriesMax = 1_000;

export const rescueRefs = (taskId: string): string => `refs/coppice/rescue/${taskId}/`;

/**
 * Keeps a commit under the next free `refs/coppice/rescue/<taskId>/<n>`. If one of these refs already points to the commit, returns that
 * ref.
 */
export async function keepUnderRescue(
  store: Store,
  taskId: string,
  commit: string,
  signal?: AbortSignal,
): Promise<string> {
  for (let number = 1; number <= rescueTriesMax; number++) {
    const ref = `${rescueRefs(taskId)}${number}`;
    const kept = await store.resolve(ref, signal);
    if (kept === commit) return ref;
    if (kept !== undefined) continue;
    await store.updateRefs([`create ${ref} ${commit}`], signal);
    return ref;
  }
  throw new CoppiceError('limit-exceeded', `more than ${rescueTriesMax} rescued states of task ${taskId}`);
}

export async function lastRescue(
  context: Context,
  store: Store,
  taskId: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const newest = ['for-each-ref', '--count=1', '--sort=-version:refname', '--format=%(refname)'];
  const ref = await context.git.text([...newest, rescueRefs(taskId)], { ...store.tasks, signal });
  return ref === '' ? null : ref;
}

/**
 * Reports whether a task's commit stays reachable without the task's branch. It does if it is in the origin's history,
 * has landed, or was pushed or rescued.
 */
export async function isKeptElsewhere(
  context: Context,
  store: Store,
  taskId: string,
  tip: string,
  signal?: AbortSignal,
): Promise<boolean> {
  // After a squash, no branch of the origin contains the commit. Only the merged ref shows that it has landed.
  if ((await store.resolve(mergedRef(taskId), signal)) === tip) return true;
  const containing = (gitDir: string, refs: string) =>
    context.git.text(['for-each-ref', '--count=1', '--format=x', `--contains=${tip}`, refs], {
      gitDir,
      signal,
      answers: [128, 129],
    });
  // Git reports an error if origin.git doesn't have the commit at all.
  const [inOrigin, inRescue] = [
    await containing(store.originGit, 'refs/fetched/'),
    await containing(store.tasksGit, rescueRefs(taskId)),
  ];
  return inOrigin !== '' || inRescue !== '';
}

/** Returns the ref that keeps a task's commit after it has landed or was pushed. */
export const mergedRef = (taskId: string): string => `refs/coppice/merged/${taskId}`;
