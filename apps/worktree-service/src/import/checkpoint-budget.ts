/**
 * Bytes that a task's checkpoints have added to tasks.git. The objects of all checkpoints are kept until the task ends.
 * Without a limit, a task that keeps writing incompressible data would fill the disk.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';
import { taskFolders } from '../worktree/task-record.ts';

const noteOf = (context: Context, taskId: string): string =>
  join(taskFolders(context, taskId).folder, 'checkpoint-bytes');

export function checkpointBytes(context: Context, taskId: string): number {
  const note = noteOf(context, taskId);
  return existsSync(note) ? Number(readFileSync(note, 'utf8')) || 0 : 0;
}

export function addCheckpointBytes(context: Context, taskId: string, bytes: number): void {
  writeFileAtomically(noteOf(context, taskId), String(checkpointBytes(context, taskId) + bytes));
}
