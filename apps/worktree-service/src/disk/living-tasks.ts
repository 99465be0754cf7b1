/**
 * The repository and the setup that each task on this disk uses.
 *
 * Invariants:
 * 1. Before a task uses a repository and a setup, the use is recorded while the locks of both are held.
 * 2. A removal of a setup and a garbage collection first take the lock of the setup or repository, and then check this
 *    list.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { taskFolders } from '../worktree/task-record.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';

const usesSchema = z.object({ repositoryId: z.string(), setupKey: z.string().nullable().default(null) });
export type Uses = z.infer<typeof usesSchema>;
export type LivingTask = {
  taskId: string;
  /** Null if the task's folder has no readable record. Such a task may use any repository and any setup. */
  uses: Uses | null;
};

export const setupLock = (setupKey: string): string => `setup-${setupKey}`;
export const collectionLock = (repositoryId: string): string => `collect-${repositoryId}`;

/** The task's folder must exist. */
export async function noteUses(context: Context, taskId: string, uses: Uses, signal?: AbortSignal): Promise<void> {
  const { folder } = taskFolders(context, taskId);
  const write = async () => writeFileAtomically(join(folder, usesFile), JSON.stringify(uses));
  const { setupKey } = uses;
  await context.locks.hold(
    collectionLock(uses.repositoryId),
    () => (setupKey === null ? write() : context.locks.hold(setupLock(setupKey), write, { signal })),
    { signal },
  );
}

const usesFile = 'uses.json';

export function livingTasks(context: Context): LivingTask[] {
  return readdirSync(context.layout.worktrees).map((taskId) => {
    const { folder, record } = taskFolders(context, taskId);
    // Earlier versions wrote no uses.json, so the task record is read instead.
    return { taskId, uses: readUses(join(folder, usesFile)) ?? readUses(record) };
  });
}

function readUses(file: string): Uses | null {
  try {
    return usesSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}
