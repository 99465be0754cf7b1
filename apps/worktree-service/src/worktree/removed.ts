/**
 * The note that a task was removed, which it is once, at its end. Commands come late and repeated: what a task ordered before its removal must
 * not make anything of it after. The note outlives every message that could bring such a command back.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';

const noteOf = (context: Context, taskId: string): string => join(context.layout.removed, safeName(taskId, 'taskId'));

/** Before the first step of a removal, so that nothing is made between two of them. Empty: a full disk has room for it. */
export function noteRemoval(context: Context, taskId: string): void {
  writeFileSync(noteOf(context, taskId), '', { flag: 'a', mode: 0o600 });
}

export const isRemoved = (context: Context, taskId: string): boolean => existsSync(noteOf(context, taskId));

/** Throws `conflict`. */
export function requireNotRemoved(context: Context, taskId: string): void {
  if (isRemoved(context, taskId))
    throw new CoppiceError('conflict', `task ${taskId} has ended and was removed: nothing is made for it any more`);
}
