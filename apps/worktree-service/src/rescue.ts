import { CoppiceError } from '@coppice/contracts';
import type { Context } from './context.ts';
import type { Store } from './repository/store.ts';

const rescueTriesMax = 1_000;

/** Prefix of a task's rescue refs. */
export const rescueRefs = (taskId: string): string => `refs/coppice/rescue/${taskId}/`;

/** Keeps a commit under the next free `refs/coppice/rescue/<taskId>/<n>`. Returns the existing ref if one of them already has the commit. */
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

/** Returns the newest rescue ref of a task, or null. */
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

/** Reports whether a task's commit is safe without its branch: it is in the origin's history, landed, pushed or rescued. */
export async function isKeptElsewhere(
  context: Context,
  store: Store,
  taskId: string,
  tip: string,
  signal?: AbortSignal,
): Promise<boolean> {
  // After a squash no history contains the commit, but the landing has recorded it as merged.
  if ((await store.resolve(mergedRef(taskId), signal)) === tip) return true;
  const containing = (gitDir: string, refs: string) =>
    context.git.text(['for-each-ref', '--count=1', '--format=x', `--contains=${tip}`, refs], {
      gitDir,
      signal,
      answers: [128, 129],
    });
  // origin.git may not have the commit at all; git reports that as an error.
  const [inOrigin, inRescue] = [
    await containing(store.originGit, 'refs/fetched/'),
    await containing(store.tasksGit, rescueRefs(taskId)),
  ];
  return inOrigin !== '' || inRescue !== '';
}

/** Ref of the task's commit that has landed or was pushed. */
export const mergedRef = (taskId: string): string => `refs/coppice/merged/${taskId}`;
