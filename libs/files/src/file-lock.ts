/**
 * A lock on a file, for several processes. If the process that holds the lock dies, the kernel releases the lock at once.
 *
 * Node has no function for flock, but contains SQLite. For `BEGIN EXCLUSIVE`, SQLite takes a POSIX lock on the database file. Child processes don't inherit such a lock.
 */
import { DatabaseSync } from 'node:sqlite';

export type FileLock = { release(): void };

const sqliteBusy = 5;

/** Takes the lock, or returns undefined if the lock is already held. Creates the file if it is missing, but doesn't create its folder. @throws if the file can't be opened */
export function tryFileLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // The journal is in memory, since a full disk has no space for a journal, and the clean-up that frees space needs locks too. Nothing is stored in the file.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === sqliteBusy)
      return undefined;
    throw error;
  }
}
