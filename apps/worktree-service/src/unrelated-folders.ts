import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const timeMsMax = 5_000;

/**
 * Marks the subfolders of these folders as unrelated for ext4 (chattr(1), attribute T), since each belongs to one task. Ext4 then spreads them over the
 * disk. Otherwise it would put a task's files where the files of another task were just deleted. That is several times slower, since ext4 then checks
 * each inode that was freed in the last minutes. Errors are ignored: other file systems don't support the attribute, the program may be missing, and
 * nothing depends on it.
 */
export async function markUnrelated(folders: readonly string[]): Promise<void> {
  await run('chattr', ['+T', '--', ...folders], { timeout: timeMsMax }).catch(() => undefined);
}
