/**
 * Records that tasks were removed. A command that was sent before the removal may arrive late. Such a command must
 * create nothing. A record is kept for longer than a command can be redelivered.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';

/**
 * Returns the id of the actor's life in which an effect was requested. It is the effect's id without the counter at its
 * end. If the bus has lost a task and the task is created again with the same id, another life begins.
 */
export const lifeOf = (effectId: string): string => safeName(effectId, 'effectId').replace(/_[^_]*$/, '');

const noteOf = (context: Context, effectId: string): string => join(context.layout.removed, lifeOf(effectId));

/** Records a removal. The file is empty, so it can be written on a full disk. */
export function noteRemoval(context: Context, effectId: string): void {
  writeFileSync(noteOf(context, effectId), '', { flag: 'a', mode: 0o600 });
}

export const isRemoved = (context: Context, effectId: string): boolean => existsSync(noteOf(context, effectId));

/** @throws CoppiceError `conflict` if the task was removed */
export function requireNotRemoved(context: Context, { taskId, effectId }: { taskId: string; effectId: string }): void {
  if (isRemoved(context, effectId))
    throw new CoppiceError('conflict', `task ${taskId} has ended and was removed: nothing is made for it any more`);
}
