import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const timeMsMax = 5_000;

/**
 * Sets attribute T of chattr(1) on folders whose subfolders belong to different tasks. Ext4 then spreads the subfolders
 * over the disk. Without the attribute, ext4 would put a task's files where another task's files were just deleted.
 * That is several times slower, since ext4 checks each inode that was freed in the last minutes. Errors are ignored,
 * since other file systems don't support the attribute and the program may be missing.
 */
export async function markUnrelated(folders: readonly string[]): Promise<void> {
  await run('chattr', ['+T', '--', ...folders], { timeout: timeMsMax }).catch(() => undefined);
}
