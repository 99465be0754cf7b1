import { CoppiceError } from '@coppice/contracts';

/** Whether this failure, a system's or of a git that ran, says that the file system is full (or the account's quota used up). */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof CoppiceError) {
    const { stderr } = (error.details ?? {}) as { stderr?: unknown };
    return /No space left on device|Out of diskspace|Disk quota exceeded|ENOSPC|EDQUOT/.test(
      `${error.message} ${String(stderr)}`,
    );
  }
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
