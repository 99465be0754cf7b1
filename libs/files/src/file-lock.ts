/**
 * A lock on a file, across processes. The kernel releases it as soon as its holder dies.
 *
 * Node has no flock. Node's built-in SQLite takes a POSIX lock on its file for `BEGIN EXCLUSIVE`; child processes don't inherit it.
 */
import { DatabaseSync } from 'node:sqlite';

export type FileLock = { release(): void };

const sqliteBusy = 5;

/** Takes the lock; returns undefined if another process holds it. Creates the file if it is missing, but not its folder. @throws when the file can't be opened */
export function tryFileLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // In memory, since a journal on disk can't be written when the disk is full, and freeing space needs locks. Nothing is stored in the file.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === sqliteBusy)
      return undefined;
    throw error;
  }
}
