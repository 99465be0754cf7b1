/**
 * A lock on a file, for several processes. The kernel releases the lock when the process that holds it dies.
 *
 * Node has no function for flock, but it contains SQLite. `BEGIN EXCLUSIVE` takes a POSIX lock on the database file,
 * which child processes don't inherit.
 */
import { DatabaseSync } from 'node:sqlite';

export type FileLock = { release(): void };

const sqliteBusy = 5;

/**
 * Takes the lock. Returns undefined if the lock is already held. Creates the file if it is missing, but not its folder.
 * @throws if the file can't be opened
 */
export function tryFileLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // The journal is in memory, so that a lock can be taken on a full disk. The clean-up that frees space needs locks
    // too.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === sqliteBusy)
      return undefined;
    throw error;
  }
}
