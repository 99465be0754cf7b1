/**
 * Removal of old refs in tasks.git that nothing else removes.
 *
 * - `refs/coppice/import/`: interrupted imports of earlier versions. They are kept while their command may be
 *   redelivered.
 * - `refs/coppice/rescue/`, `refs/coppice/checkpoint/` and branches of finished tasks: the only copy of work. They are
 *   kept for `rescueAgeMsMax`. The report lists them before they are removed. Refs under `rescue/` also have a size
 *   limit (kept-work.ts).
 *
 * upkeep.ts removes the records of completed operations.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { commandAgeMsMax } from '@coppice/contracts';
import type { Context } from '../context.ts';
import type { Store } from '../repository/store.ts';
import { livingTasks } from './living-tasks.ts';
import type { Expiry } from './removed.ts';

const imports = 'refs/coppice/import/';
const rescues = 'refs/coppice/rescue/';
const checkpoints = 'refs/coppice/checkpoint/';
const branches = 'refs/heads/coppice/';
const refsPerTransaction = 500;

export type KeptRef = { ref: string; commit: string; taskId: string | null; writtenAtMs: number };

export async function keptRefs(context: Context, store: Store, signal?: AbortSignal): Promise<KeptRef[]> {
  const format = '--format=%(objectname) %(committerdate:unix) %(refname)';
  const folders = [imports, rescues, checkpoints, branches];
  const lines = await context.git.text(['for-each-ref', format, ...folders], { ...store.tasks, signal });
  return lines.split('\n').flatMap((line): KeptRef[] => {
    const [commit = '', seconds = '', ref = ''] = line.split(' ');
    if (seconds === '') return [];
    // The ref may be newer than its commit. If the ref is loose, the mtime of its file is the time when the ref was
    // written.
    const writtenMs = statSync(join(store.tasksGit, ref), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return [{ ref, commit, taskId: taskOf(ref), writtenAtMs: Math.max(Number(seconds) * 1_000, writtenMs) }];
  });
}

function taskOf(ref: string): string | null {
  const folder = [rescues, checkpoints, branches].find((each) => ref.startsWith(each));
  return folder === undefined ? null : (ref.slice(folder.length).split('/')[0] ?? null);
}

export const isRescue = ({ ref }: { ref: string }): boolean => ref.startsWith(rescues);

/** Returns the time when a ref may be removed. Null for a checkpoint or branch of a task that still has a worktree. */
export function goesAtMs(context: Context, kept: KeptRef, living: ReadonlySet<string>): number | null {
  if (kept.ref.startsWith(imports)) return kept.writtenAtMs + commandAgeMsMax;
  if (!isRescue(kept) && kept.taskId !== null && living.has(kept.taskId)) return null;
  return kept.writtenAtMs + context.disk.rescueAgeMsMax;
}

export async function removeOldRefs(
  context: Context,
  store: Store,
  { nowMs, signal }: { nowMs: number; signal?: AbortSignal | undefined },
): Promise<Expiry[]> {
  const living = new Set(livingTasks(context).map(({ taskId }) => taskId));
  const old = (await keptRefs(context, store, signal)).filter((kept) => {
    const at = goesAtMs(context, kept, living);
    return at !== null && at < nowMs;
  });
  for (let index = 0; index < old.length; index += refsPerTransaction) {
    const part = old.slice(index, index + refsPerTransaction);
    await store.updateRefs(
      part.map(({ ref, commit }) => `delete ${ref} ${commit}`),
      signal,
    );
  }
  return old.map(({ ref, commit }) => ({
    what: `${store.tasksGit} ${ref} (${commit})`,
    reason: 'age' as const,
    bytes: null,
  }));
}
