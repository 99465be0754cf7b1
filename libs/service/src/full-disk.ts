import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { NotNow } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';

const diskFullText = /No space left on device|Out of diskspace|Disk quota exceeded|ENOSPC|EDQUOT/;

/** Codes whose message may be what the system or a program printed. Other messages may hold a path that an agent chose. */
const programFailures: readonly string[] = [
  'git-failed',
  'git-contention',
  'sandbox-failed',
  'engine-unavailable',
  'internal',
];

/** True for an error of the system, or of a program that ran, that says that a file system or a quota is full. */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof CoppiceError) {
    if (!programFailures.includes(error.code)) return error.code === 'disk-full';
    const { stderr } = (error.details ?? {}) as { stderr?: unknown };
    return diskFullText.test(`${error.message} ${String(stderr)}`);
  }
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/** Programs fail with other words, too, where not even this much is free. */
const nothingFreeBytes = 256 * 1024;

/** Like `isDiskFull`, and true for any failure of a program or the system while the folder's file system has no space or no inodes left. */
export async function comesFromFullDisk(error: unknown, folder: string): Promise<boolean> {
  return isDiskFull(error) || (isFailure(error) && (await isFullNow(folder)));
}

/** True for what a program or the system may have failed with. */
const isFailure = (error: unknown): boolean =>
  error instanceof CoppiceError ? programFailures.includes(error.code) : error instanceof Error && 'syscall' in error;

async function isFullNow(folder: string): Promise<boolean> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return bavail * bsize < nothingFreeBytes || (files > 0 && ffree === 0);
}

const fullDiskLimits = {
  /** How long a start waits for a full disk to have space again, and how often it tries. */
  startWaitMs: 60_000,
  startTryMs: 1_000,
  /** How long a command waits for a full disk to have space again. */
  waitMs: 5 * 60_000,
  commandsMax: 10_000,
} as const;

/** Postpones commands that met a full disk, each for a bounded time. */
export class FullDiskWaits {
  readonly #waitMs: number;
  readonly #sinceMs = new Map<string, number>();

  constructor(waitMs: number = fullDiskLimits.waitMs) {
    this.#waitMs = waitMs;
  }

  /** What a command's handler throws: `NotNow` until the command has waited long enough, then `error`. */
  postponed(effectId: string, error: CoppiceError): Error {
    const nowMs = performance.now();
    const sinceMs = this.#sinceMs.get(effectId) ?? nowMs;
    if (nowMs - sinceMs >= this.#waitMs) {
      this.#sinceMs.delete(effectId);
      return error;
    }
    this.#sinceMs.set(effectId, sinceMs);
    for (const oldest of this.#sinceMs.keys()) {
      if (this.#sinceMs.size <= fullDiskLimits.commandsMax) break;
      this.#sinceMs.delete(oldest);
    }
    return new NotNow(error.message, { cause: error });
  }
}

/**
 * Repeats a step of a service's start while the disk of `folder` is full.
 * @throws the step's error, after `startWaitMs` or where it has another cause
 */
export async function untilDiskHasRoom<Result>(
  folder: string,
  step: () => Promise<Result>,
  onWaiting: (line: string) => void,
): Promise<Result> {
  const endsAtMs = performance.now() + fullDiskLimits.startWaitMs;
  for (let isFirst = true; ; isFirst = false) {
    // The step may fail with the words of a program, and the disk may have room again by then. The folder may not be there yet.
    const wasFull = await isFullNow(folder).catch(() => false);
    try {
      return await step();
    } catch (error) {
      const isFull =
        isDiskFull(error) || (isFailure(error) && (wasFull || (await isFullNow(folder).catch(() => false))));
      if (!isFull || performance.now() >= endsAtMs) throw error;
      if (isFirst) onWaiting(`waiting for space on the disk of ${folder}: ${(error as Error).message}`);
      await sleep(fullDiskLimits.startTryMs);
    }
  }
}
