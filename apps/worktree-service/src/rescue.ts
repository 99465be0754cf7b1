import { CoppiceError } from '@coppice/contracts';
import type { Store } from './repository/store.ts';

const rescueTriesMax = 1_000;

/** Keeps a commit under the next free `refs/coppice/rescue/<taskId>/<n>`, or finds where it is kept already. */
export async function keepUnderRescue(
  store: Store,
  taskId: string,
  commit: string,
  signal?: AbortSignal,
): Promise<string> {
  for (let number = 1; number <= rescueTriesMax; number++) {
    const ref = `refs/coppice/rescue/${taskId}/${number}`;
    const kept = await store.resolve(ref, signal);
    if (kept === commit) return ref;
    if (kept !== undefined) continue;
    await store.updateRefs([`create ${ref} ${commit}`], signal);
    return ref;
  }
  throw new CoppiceError('limit-exceeded', `more than ${rescueTriesMax} rescued states of task ${taskId}`);
}
