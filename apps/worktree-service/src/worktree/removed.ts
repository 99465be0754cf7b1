/**
 * Record that a task was removed, which happens once, at the end of its life. Commands may be delayed and repeated, and those sent before the
 * removal must create nothing after it. The record outlives every message that could redeliver such a command.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';

/**
 * Common prefix of the ids of all effects that one life of an actor requests; their last part is a counter. If the bus has lost a task and it is
 * created again with the same id, that is another life.
 */
export const lifeOf = (effectId: string): string => safeName(effectId, 'effectId').replace(/_[^_]*$/, '');

const noteOf = (context: Context, effectId: string): string => join(context.layout.removed, lifeOf(effectId));

/** Records a removal before its first step, so that nothing is created between steps. The file is empty, so it can be written on a full disk. */
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
