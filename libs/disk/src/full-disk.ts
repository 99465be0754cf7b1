import { statfs } from 'node:fs/promises';
import { NotNow } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { retry } from '@coppice/service';

const diskFullText = /No space left on device|Out of diskspace|Disk quota exceeded|ENOSPC|EDQUOT/;

/**
 * Codes of errors whose message may quote output of the system or of a program. Other messages aren't searched, since
 * they may contain a path that an agent chose.
 */
const programFailures: readonly string[] = [
  'git-failed',
  'git-contention',
  'sandbox-failed',
  'engine-unavailable',
  'internal',
];

/** Returns true if an error reports that a file system is full or that a disk quota is used up. */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof CoppiceError) {
    if (!programFailures.includes(error.code)) return error.code === 'disk-full';
    const { stderr } = (error.details ?? {}) as { stderr?: unknown };
    return diskFullText.test(`${error.message} ${String(stderr)}`);
  }
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/**
 * Free bytes below which a file system counts as full. Programs may then fail with messages that don't mention the
 * disk.
 */
const nothingFreeBytes = 256 * 1024;

/**
 * Returns true if `isDiskFull` does, or if any system or program error occurs while the folder's file system is full.
 */
export async function comesFromFullDisk(error: unknown, folder: string): Promise<boolean> {
  return isDiskFull(error) || (isFailure(error) && (await isFullNow(folder)));
}

const isFailure = (error: unknown): boolean =>
  error instanceof CoppiceError ? programFailures.includes(error.code) : error instanceof Error && 'syscall' in error;

async function isFullNow(folder: string): Promise<boolean> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return bavail * bsize < nothingFreeBytes || (files > 0 && ffree === 0);
}

const fullDiskLimits = {
  /** Maximum time for which a starting service waits for space. */
  startWaitMs: 60_000,
  /** Pause between two tries of a step of the start. */
  startTryMs: 1_000,
  /** Maximum time for which a command waits for space. */
  waitMs: 5 * 60_000,
  commandsMax: 10_000,
} as const;

/** Postpones commands that failed on a full disk, each for at most `waitMs`. */
export class FullDiskWaits {
  readonly #waitMs: number;
  readonly #sinceMs = new LRUCache<string, number>({ max: fullDiskLimits.commandsMax });

  constructor(waitMs: number = fullDiskLimits.waitMs) {
    this.#waitMs = waitMs;
  }

  /**
   * Returns the error that the command's handler must throw. It is `NotNow` until the command has waited for `waitMs`,
   * and then `error`.
   */
  postponed(effectId: string, error: CoppiceError): Error {
    const nowMs = performance.now();
    const sinceMs = this.#sinceMs.get(effectId) ?? nowMs;
    if (nowMs - sinceMs >= this.#waitMs) {
      this.#sinceMs.delete(effectId);
      return error;
    }
    this.#sinceMs.set(effectId, sinceMs);
    return new NotNow(error.message, { cause: error });
  }
}

/**
 * Retries a step of a service's start while the disk of `folder` is full.
 * @throws the step's error, if a full disk isn't its cause, or if `startWaitMs` has passed
 */
export async function untilDiskHasRoom<Result>(
  folder: string,
  step: () => Promise<Result>,
  onWaiting: (line: string) => void,
): Promise<Result> {
  // The folder may not exist yet.
  const isFull = () => isFullNow(folder).catch(() => false);
  let wasFull = false;
  const tryStep = async () => {
    // The step's error may not mention the disk, and the disk may have space again after the step has failed. So the
    // disk is also checked before the step.
    wasFull = await isFull();
    return step();
  };
  const mayPass = async (error: Error, tries: number) => {
    if (!isDiskFull(error) && !(isFailure(error) && (wasFull || (await isFull())))) return false;
    if (tries === 1) onWaiting(`waiting for space on the disk of ${folder}: ${error.message}`);
    return true;
  };
  return retry(tryStep, { mayPass, forMs: fullDiskLimits.startWaitMs, pauseMs: fullDiskLimits.startTryMs });
}
