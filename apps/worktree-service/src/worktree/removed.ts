/**
 * The note that a task was removed, which it is once in its life, at its end. Commands come late and repeated: what a task ordered before its
 * removal must not make anything of it after. The note outlives every message that could bring such a command back.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';

/**
 * Of all effects that one life of an actor orders the ids differ in their last part, a counter. A task of the same id that is born anew, since the
 * bus has lost the first, is another life.
 */
export const lifeOf = (effectId: string): string => safeName(effectId, 'effectId').replace(/_[^_]*$/, '');

const noteOf = (context: Context, effectId: string): string => join(context.layout.removed, lifeOf(effectId));

/** Before the first step of a removal, so that nothing is made between two of them. Empty: a full disk has room for it. */
export function noteRemoval(context: Context, effectId: string): void {
  writeFileSync(noteOf(context, effectId), '', { flag: 'a', mode: 0o600 });
}

/** Whether the task that ordered this effect was removed. */
export const isRemoved = (context: Context, effectId: string): boolean => existsSync(noteOf(context, effectId));

/** Throws `conflict`. */
export function requireNotRemoved(context: Context, { taskId, effectId }: { taskId: string; effectId: string }): void {
  if (isRemoved(context, effectId))
    throw new CoppiceError('conflict', `task ${taskId} has ended and was removed: nothing is made for it any more`);
}
