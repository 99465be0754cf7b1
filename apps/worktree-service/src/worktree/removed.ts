/**
 * Record that a task was removed. A task is removed once, at the end of its life. Commands may be delayed and repeated. Commands that were
 * sent before the removal must create nothing after it. The record is kept longer than every message that could redeliver such a command.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';

/**
 * Returns the life in which an actor requested an effect: the effect's id without its last part, which is a counter. If the bus has lost a
 * task and the task is created again with the same id, it begins another life.
 */
export const lifeOf = (effectId: string): string => safeName(effectId, 'effectId').replace(/_[^_]*$/, '');

const noteOf = (context: Context, effectId: string): string => join(context.layout.removed, lifeOf(effectId));

/**
 * Records a removal. It is called before the removal's first step, so that no command creates anything between the steps. The file is
 * empty, so it can be written on a full disk.
 */
export function noteRemoval(context: Context, effectId: string): void {
  writeFileSync(noteOf(context, effectId), '', { flag: 'a', mode: 0o600 });
}

/** Reports whether the task that requested this effect was removed. */
export const isRemoved = (context: Context, effectId: string): boolean => existsSync(noteOf(context, effectId));

/** @throws CoppiceError `conflict` if the task was removed */
export function requireNotRemoved(context: Context, { taskId, effectId }: { taskId: string; effectId: string }): void {
  if (isRemoved(context, effectId))
    throw new CoppiceError('conflict', `task ${taskId} has ended and was removed: nothing is made for it any more`);
}
