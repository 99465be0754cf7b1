import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const timeMsMax = 5_000;

/**
 * Marks the subfolders of these folders as unrelated for ext4 (chattr(1), attribute T), since each subfolder belongs to one task. Ext4 then
 * spreads the subfolders over the disk. Without the mark, ext4 would put a task's files where another task's files were just deleted. That
 * is several times slower, since ext4 checks each inode that was freed in the last minutes. Errors are ignored: other file systems don't
 * support the attribute, the program may be missing, and nothing depends on it.
 */
export async function markUnrelated(folders: readonly string[]): Promise<void> {
  await run('chattr', ['+T', '--', ...folders], { timeout: timeMsMax }).catch(() => undefined);
}
