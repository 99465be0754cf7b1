/**
 * A folder that a command may change while it is read. The folder stays open, and its entries are accessed through its
 * descriptor (/proc/self/fd/N/name, equivalent to openat). So the walk doesn't follow a link that replaces a folder.
 * Without /proc, plain paths are used, and only the last component of a path is protected. Names are bytes, since they
 * needn't be valid text.
 */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  type Dirent,
} from 'node:fs';
import { codeOf } from './reason.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
/** Linux's O_PATH, the same on x86-64 and arm64. It opens a folder without read permission. */
const pathOnly = 0x200000;
const readAndEnter = 0o500;
const throughDescriptors = existsSync('/proc/self/fd');
/** Maximum number of times that one call reopens a folder. Only a command that hides files removes a folder's permissions so often. */
const unlocksMax = 1_000;
const separator = Buffer.from('/');
/** Returns names as buffers. The type declarations allow this for readdir but not for opendir. */
const bufferEncoding = 'buffer' as BufferEncoding;

/** Error for a folder whose permissions a command removes each time they are restored. */
export class FolderKeptClosed extends Error {}

export class WatchedFolder {
  readonly #descriptor: number;
  readonly #path: Buffer;

  /** The mode to restore at `close`. Null if the mode wasn't changed. */
  #closedMode: number | null;

  private constructor(descriptor: number, path: Buffer, closedMode: number | null) {
    this.#descriptor = descriptor;
    this.#path = throughDescriptors ? Buffer.from(`/proc/self/fd/${descriptor}`) : path;
    this.#closedMode = closedMode;
  }

  /**
   * Opens a folder. Returns null for a mounted file, a link, or a folder that no longer exists. If the folder's mode
   * denies access to its owner, grants the owner access until `close`. Otherwise, if the stack doesn't run as root, a
   * command of the same user could hide files in the folder.
   *
   * @throws FolderKeptClosed, as all methods except `close` do
   */
  static open(path: string | Buffer): WatchedFolder | null {
    try {
      return WatchedFolder.#tryOpen(Buffer.from(path));
    } catch (error) {
      if (error instanceof FolderKeptClosed) throw error;
      return null;
    }
  }

  /** @throws the system's error, which is EACCES if the parent folder denies access */
  static #tryOpen(path: Buffer): WatchedFolder {
    try {
      return new WatchedFolder(openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path, null);
    } catch (error) {
      if (codeOf(error) !== 'EACCES' || !throughDescriptors) throw error;
    }
    // Changes the mode through a descriptor, so that no link is followed.
    const closed = openSync(path, pathOnly | O_DIRECTORY | O_NOFOLLOW);
    try {
      const { mode } = unlock(closed);
      const reopen = () => openSync(`/proc/self/fd/${closed}`, O_RDONLY | O_DIRECTORY);
      return new WatchedFolder(
        whileOpen(reopen, () => unlock(closed)),
        path,
        mode,
      );
    } catch (error) {
      // Replaces EACCES, which would mean that the parent folder denies access. The caller skips this folder. It
      // belongs to another user, so it can't contain files that a command wrote.
      if (error instanceof FolderKeptClosed) throw error;
      throw new Error('the folder can be read by another user only', { cause: error });
    } finally {
      closeSync(closed);
    }
  }

  inner(name: Buffer): WatchedFolder | null {
    return this.#whileOpen(() => WatchedFolder.#tryOpen(this.#pathOf(name)), null);
  }

  /** Yields the entries. Entries that are deleted during the call may be missing. */
  *entries(): Generator<{ name: Buffer; isDirectory: boolean }> {
    const directory = this.#whileOpen(() => opendirSync(this.#path, { encoding: bufferEncoding }), null);
    try {
      for (let entry = directory?.readSync(); entry; entry = directory?.readSync()) {
        const name = Buffer.from((entry as Dirent | Dirent<Buffer>).name);
        yield { name, isDirectory: entry.isDirectory() };
      }
    } catch {
      // The folder no longer exists.
    } finally {
      directory?.closeSync();
    }
  }

  /** Returns the number of allocated blocks of 512 bytes. */
  blocksOf(name: Buffer): number {
    return this.#whileOpen(() => lstatSync(this.#pathOf(name)).blocks, 0);
  }

  close(): void {
    if (this.#closedMode !== null) fchmodSync(this.#descriptor, this.#closedMode);
    closeSync(this.#descriptor);
  }

  /**
   * Runs a call. If a command has removed the folder's permissions, restores them and repeats the call. Returns `gone`
   * after any other error.
   */
  #whileOpen<Result>(call: () => Result, gone: Result): Result {
    const reopen = () => {
      const found = unlock(this.#descriptor);
      if (found.isClosed) this.#closedMode ??= found.mode;
      return found;
    };
    try {
      return throughDescriptors ? whileOpen(call, reopen) : call();
    } catch (error) {
      if (error instanceof FolderKeptClosed) throw error;
      return gone;
    }
  }

  #pathOf(name: Buffer): Buffer {
    return Buffer.concat([this.#path, separator, name]);
  }
}

/** Grants the owner of a folder access to it. Returns the mode found. */
function unlock(descriptor: number): { mode: number; isClosed: boolean } {
  const mode = fstatSync(descriptor).mode & 0o7777;
  const isClosed = (mode & readAndEnter) !== readAndEnter;
  if (isClosed) chmodSync(`/proc/self/fd/${descriptor}`, mode | readAndEnter);
  return { mode, isClosed };
}

/**
 * Runs a call. After each EACCES, runs `reopen` and repeats the call.
 * @throws FolderKeptClosed if the folder is closed again repeatedly
 * @throws the system's error if something other than the folder's mode denies access
 */
function whileOpen<Result>(call: () => Result, reopen: () => { isClosed: boolean }): Result {
  let closings = 0;
  for (let count = 1; ; count++) {
    try {
      return call();
    } catch (error) {
      if (codeOf(error) !== 'EACCES' || (count === unlocksMax && closings <= 1)) throw error;
    }
    if (count === unlocksMax) throw new FolderKeptClosed();
    if (reopen().isClosed) closings++;
  }
}
