import { statfs } from 'node:fs/promises';
import { NotNow } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { retry } from '@coppice/service';

const diskFullText = /No space left on device|Out of diskspace|Disk quota exceeded|ENOSPC|EDQUOT/;

/** Codes of errors that may quote output of the system or of a program. The messages of other errors are not searched, since they may contain a path that an agent chose. */
const programFailures: readonly string[] = [
  'git-failed',
  'git-contention',
  'sandbox-failed',
  'engine-unavailable',
  'internal',
];

/** Returns true if an error of the system or of a program reports that a file system is full or that a quota is used up. */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof CoppiceError) {
    if (!programFailures.includes(error.code)) return error.code === 'disk-full';
    const { stderr } = (error.details ?? {}) as { stderr?: unknown };
    return diskFullText.test(`${error.message} ${String(stderr)}`);
  }
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/** If a file system has fewer free bytes than this, programs may also fail with messages that don't mention the disk. */
const nothingFreeBytes = 256 * 1024;

/** Returns true if `isDiskFull` does. Also returns true for any other error of the system or of a program, if the folder's file system has no free space or no free inodes. */
export async function comesFromFullDisk(error: unknown, folder: string): Promise<boolean> {
  return isDiskFull(error) || (isFailure(error) && (await isFullNow(folder)));
}

/** Returns true if an error may come from the system or from a program. */
const isFailure = (error: unknown): boolean =>
  error instanceof CoppiceError ? programFailures.includes(error.code) : error instanceof Error && 'syscall' in error;

async function isFullNow(folder: string): Promise<boolean> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return bavail * bsize < nothingFreeBytes || (files > 0 && ffree === 0);
}

const fullDiskLimits = {
  /** Time for which the start of a service waits for space on a full disk. */
  startWaitMs: 60_000,
  /** Pause before a failed step of the start is tried again. */
  startTryMs: 1_000,
  /** Time for which a command waits for space on a full disk. */
  waitMs: 5 * 60_000,
  commandsMax: 10_000,
} as const;

/** Postpones commands that failed on a full disk, each for a limited time. */
export class FullDiskWaits {
  readonly #waitMs: number;
  readonly #sinceMs = new LRUCache<string, number>({ max: fullDiskLimits.commandsMax });

  constructor(waitMs: number = fullDiskLimits.waitMs) {
    this.#waitMs = waitMs;
  }

  /** Returns the error that the command's handler must throw: `NotNow` if the command has waited less than `waitMs`, otherwise `error`. */
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
 * @throws the step's error, if the error has another cause than a full disk, or if `startWaitMs` has passed
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
    // The disk is also checked before the step: the step's error may not mention the disk, and the disk may have space again when the step has failed.
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
