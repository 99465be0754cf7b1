/**
 * Removal of sealed setups, which are only a cache. Their total size and the time since their last use are limited. The
 * least recently used are removed first. If the disk is low on space, more of them are removed. A setup that a task on
 * this disk uses is kept.
 */
import { existsSync, lstatSync, readdirSync, rmSync, rmdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { livingTasks, setupLock } from './living-tasks.ts';
import type { Expiry } from './removed.ts';
import type { Sizes } from './sizes.ts';

/** Maximum time between sealing or finding a setup and recording that a task uses it. */
const unnotedUseMsMax = 3_600_000;
/** Age from which the folder of a setup attempt is unused. No command for the attempt can be delayed for longer. */
const attemptAgeMsMax = 8 * 24 * 3_600_000;

export type SealedSetup = { setupKey: string; usedAtMs: number; bytes: number };

const sealOf = (context: Context, setupKey: string): string => join(context.layout.setup(setupKey), 'sealed.json');

export function noteSetupUse(context: Context, setupKey: string, now: Date): void {
  const seal = sealOf(context, setupKey);
  if (existsSync(seal)) utimesSync(seal, now, now);
}

/** Lists the sealed setups, the most recently used first. */
export async function sealedSetups(context: Context, sizes: Sizes): Promise<SealedSetup[]> {
  const setups: SealedSetup[] = [];
  for (const setupKey of readdirSync(context.layout.setups)) {
    const usedAtMs = statSync(sealOf(context, setupKey), { throwIfNoEntry: false })?.mtimeMs;
    const bytes = await sizes.of(join(context.layout.setup(setupKey), 'sealed'));
    if (usedAtMs !== undefined && bytes !== null) setups.push({ setupKey, usedAtMs, bytes });
  }
  return setups.toSorted((one, other) => other.usedAtMs - one.usedAtMs);
}

/**
 * @param bytesToFree minimum to free because the disk is low on space. It is 0 or less if the disk has enough space.
 */
export async function boundSetups(
  context: Context,
  sizes: Sizes,
  { nowMs, bytesToFree }: { nowMs: number; bytesToFree: number },
): Promise<Expiry[]> {
  const { setupsAgeMsMax, setupsBytesMax } = context.disk;
  const setups = await sealedSetups(context, sizes);
  let total = setups.reduce((sum, { bytes }) => sum + bytes, 0);
  let toFree = bytesToFree;
  const removed: Expiry[] = [];
  for (const setup of setups.toReversed()) {
    const reason = nowMs - setup.usedAtMs > setupsAgeMsMax ? 'age' : total > setupsBytesMax ? 'size' : 'low-disk';
    if (reason === 'low-disk' && toFree <= 0) continue;
    if (!(await removeSetup(context, setup.setupKey, nowMs))) continue;
    total -= setup.bytes;
    toFree -= setup.bytes;
    removed.push({ what: `the sealed setup ${setup.setupKey}`, reason, bytes: setup.bytes });
  }
  return removed;
}

/** Returns false if a task uses the setup or may be about to use it. */
async function removeSetup(context: Context, setupKey: string, nowMs: number): Promise<boolean> {
  const folder = context.layout.setup(setupKey);
  const seal = sealOf(context, setupKey);
  const remove = async () => {
    const usedAtMs = statSync(seal, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const isUsed = livingTasks(context).some(({ uses }) => uses === null || uses.setupKey === setupKey);
    if (isUsed || nowMs - usedAtMs < unnotedUseMsMax) return false;
    context.trash.take(join(folder, 'sealed'));
    rmSync(seal, { force: true });
    removeEmpty(folder);
    return true;
  };
  return context.locks.hold(setupLock(setupKey), remove, { waitMsMax: 0 }).catch((error: unknown) => {
    if (error instanceof CoppiceError && error.code === 'git-contention') return false;
    throw error;
  });
}

/** Removes folders of old setup attempts whose task never discarded them. */
export function removeOldAttempts(context: Context, nowMs: number): Expiry[] {
  const removed: Expiry[] = [];
  for (const setupKey of readdirSync(context.layout.setups)) {
    const attempts = join(context.layout.setup(setupKey), 'attempts');
    for (const taskId of existsSync(attempts) ? readdirSync(attempts) : []) {
      const folder = join(attempts, taskId);
      const writtenAtMs = lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? nowMs;
      if (nowMs - writtenAtMs <= attemptAgeMsMax) continue;
      context.trash.take(folder);
      removed.push({ what: folder, reason: 'age', bytes: null });
    }
  }
  return removed;
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(join(folder, 'attempts'));
  } catch {
    // The folder isn't empty because tasks have attempts in it, or it was never created.
  }
  try {
    rmdirSync(folder);
  } catch {
    // The folder isn't empty, or another process has already removed it.
  }
}
