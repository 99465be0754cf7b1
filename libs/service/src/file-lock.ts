/**
 * A lock on a file, across processes. The kernel knows its holder: it is free at the moment its holder dies, however that happens.
 *
 * Node has no flock. SQLite, which comes with Node, takes a POSIX lock on its file for `BEGIN EXCLUSIVE`; child processes don't inherit it.
 */
import { DatabaseSync } from 'node:sqlite';

export type FileLock = { release(): void };

const sqliteBusy = 5;

/** The lock, or undefined where another holds it. The file is made where it is missing, its folder isn't. @throws when the file can't be opened. */
export function tryFileLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // A journal on disk could not be written where the disk is full, and what frees it takes locks. Nothing is ever stored in the file.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === sqliteBusy)
      return undefined;
    throw error;
  }
}
