import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const timeMsMax = 5_000;

/**
 * Tells ext4 that what is made in these folders belongs to one task each (chattr(1), attribute T). It then spreads them over the disk, where it
 * would otherwise put a task's files into the place of another's that were deleted just now, which takes it several times as long: it looks
 * at each inode that was freed in the last minutes. Other file systems refuse, and so may a machine without the program; nothing depends on it.
 */
export async function markUnrelated(folders: readonly string[]): Promise<void> {
  await run('chattr', ['+T', '--', ...folders], { timeout: timeMsMax }).catch(() => undefined);
}
