/**
 * A folder that a command may change while it is read. It is held open, and what is in it is reached through its descriptor (/proc/self/fd/N/name, which
 * is openat), so that a folder which is swapped for a link can't lead the walk elsewhere. Where there is no /proc, plain paths are used, and only
 * the last part of each is safe from that. Names are bytes: one that is no text would be a way to hide.
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
/** Linux's O_PATH, on x86-64 and arm64 alike: a descriptor of what may not be read. */
const pathOnly = 0x200000;
const readAndEnter = 0o500;
const throughDescriptors = existsSync('/proc/self/fd');
/** A command that isn't hiding anything closes no folder so often within one call. */
const unlocksMax = 1_000;
const separator = Buffer.from('/');
/** As for readdir; the type declarations don't know it of opendir. */
const bufferEncoding = 'buffer' as BufferEncoding;

/** A command closes a folder to its owner as often as it is opened. */
export class FolderKeptClosed extends Error {}

export class WatchedFolder {
  readonly #descriptor: number;
  readonly #path: Buffer;

  /** The mode to restore at `close`; null if it wasn't changed. */
  #closedMode: number | null;

  private constructor(descriptor: number, path: Buffer, closedMode: number | null) {
    this.#descriptor = descriptor;
    this.#path = throughDescriptors ? Buffer.from(`/proc/self/fd/${descriptor}`) : path;
    this.#closedMode = closedMode;
  }

  /**
   * Null for a file that is mounted, a link, or a folder that has gone. A folder whose own mode keeps its owner out is opened to the owner until `close`:
   * where the stack isn't root, a command of the same user could hide in it.
   *
   * @throws FolderKeptClosed, as do all methods but `close`
   */
  static open(path: string | Buffer): WatchedFolder | null {
    try {
      return WatchedFolder.#tryOpen(Buffer.from(path));
    } catch (error) {
      if (error instanceof FolderKeptClosed) throw error;
      return null;
    }
  }

  /** @throws the system's error: EACCES if the folder around it is closed */
  static #tryOpen(path: Buffer): WatchedFolder {
    try {
      return new WatchedFolder(openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path, null);
    } catch (error) {
      if (codeOf(error) !== 'EACCES' || !throughDescriptors) throw error;
    }
    // Never follows a link: the mode is changed through a descriptor that was opened without reading.
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
      // Not EACCES, which would be the folder's around it: another user's folder can't hide what a command wrote.
      if (error instanceof FolderKeptClosed) throw error;
      throw new Error('the folder can be read by another user only', { cause: error });
    } finally {
      closeSync(closed);
    }
  }

  inner(name: Buffer): WatchedFolder | null {
    return this.#whileOpen(() => WatchedFolder.#tryOpen(this.#pathOf(name)), null);
  }

  /** Entries of the folder, without those that are deleted during the reading. */
  *entries(): Generator<{ name: Buffer; isDirectory: boolean }> {
    const directory = this.#whileOpen(() => opendirSync(this.#path, { encoding: bufferEncoding }), null);
    try {
      for (let entry = directory?.readSync(); entry; entry = directory?.readSync()) {
        const name = Buffer.from((entry as Dirent | Dirent<Buffer>).name);
        yield { name, isDirectory: entry.isDirectory() };
      }
    } catch {
      // It has gone.
    } finally {
      directory?.closeSync();
    }
  }

  /** Allocated blocks of 512 bytes. */
  blocksOf(name: Buffer): number {
    return this.#whileOpen(() => lstatSync(this.#pathOf(name)).blocks, 0);
  }

  close(): void {
    if (this.#closedMode !== null) fchmodSync(this.#descriptor, this.#closedMode);
    closeSync(this.#descriptor);
  }

  /** Opens this folder again where a command has closed it meanwhile; answers `gone` for any other error. */
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

/** Opens a folder to its owner. */
function unlock(descriptor: number): { mode: number; isClosed: boolean } {
  const mode = fstatSync(descriptor).mode & 0o7777;
  const isClosed = (mode & readAndEnter) !== readAndEnter;
  if (isClosed) chmodSync(`/proc/self/fd/${descriptor}`, mode | readAndEnter);
  return { mode, isClosed };
}

/**
 * @throws FolderKeptClosed if somebody closes the folder again and again; the system's error if something else than its mode keeps its owner out
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
