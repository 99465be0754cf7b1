/**
 * A lock on a file, across processes. The kernel releases it as soon as its holder dies.
 *
 * Node has no flock, so the lock is the POSIX lock that SQLite (built into Node) takes on a database file for `BEGIN EXCLUSIVE`. Child processes don't inherit it.
 */
import { DatabaseSync } from 'node:sqlite';

export type FileLock = { release(): void };

const sqliteBusy = 5;

/** Takes the lock; returns undefined if another process holds it. Creates the file if it is missing, but not its folder. @throws when the file can't be opened */
export function tryFileLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // The journal is in memory: clean-up needs locks even when the disk is full, and a journal on disk couldn't be written then. Nothing is stored in the file.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === sqliteBusy)
      return undefined;
    throw error;
  }
}
