import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { writeFileAtomically } from './snapshot.ts';

const recordSchema = z.object({
  repositoryId: z.string(),
  branch: z.string(),
  baseCommit: z.string(),
  /** Setup whose sealed result was copied into the worktree. Missing in records of earlier versions. */
  setupKey: z.string().nullable().default(null),
});
/** Record of a prepared worktree. It is written last, so if it exists, the worktree is complete. */
export type TaskRecord = z.infer<typeof recordSchema>;

/** Paths in a task's folder. Only the host uses them, except `tree` and `agentGit`. */
export function taskFolders(context: Context, taskId: string) {
  const folder = context.layout.worktree(taskId);
  return {
    folder,
    /** Named after the task, since git names the metadata of a linked worktree after its folder. */
    tree: join(folder, taskId),
    agentGit: join(folder, 'agent.git'),
    gitLink: join(folder, 'git-link'),
    snapshot: join(folder, 'snapshot'),
    record: join(folder, 'record.json'),
    /** Git's scratch folder during an import. */
    importGit: join(folder, 'import.git'),
  };
}

export const worktreeMetadata = (tasksGit: string, tree: string): string => join(tasksGit, 'worktrees', basename(tree));

export function readTaskRecord(context: Context, taskId: string): TaskRecord | undefined {
  const file = taskFolders(context, taskId).record;
  if (!existsSync(file)) return undefined;
  return recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

export function requireTaskRecord(context: Context, taskId: string): TaskRecord {
  const record = readTaskRecord(context, taskId);
  if (record === undefined) throw new CoppiceError('not-found', `task ${taskId} has no worktree here`);
  return record;
}

export function writeTaskRecord(context: Context, taskId: string, record: TaskRecord): void {
  writeFileAtomically(taskFolders(context, taskId).record, JSON.stringify(record));
}

/** Runs one operation at a time on a task's folder, across all processes. */
export const withTask = <T>(
  context: Context,
  taskId: string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> => context.locks.hold(`task-${taskId}`, work, { signal });
