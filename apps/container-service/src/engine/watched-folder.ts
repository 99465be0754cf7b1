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
  type Dir,
  type Dirent,
} from 'node:fs';
import { codeOf } from './reason.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
/** Linux's O_PATH, on x86-64 and arm64 alike: a descriptor of what may not be read. */
const pathOnly = 0x200000;
const readAndEnter = 0o500;
const throughDescriptors = existsSync('/proc/self/fd');
const separator = Buffer.from('/');
/** As for readdir; the type declarations don't know it of opendir. */
const bufferEncoding = 'buffer' as BufferEncoding;

export class WatchedFolder {
  readonly #descriptor: number;
  readonly #path: Buffer;

  /** The original mode, restored by `close`; null if it wasn't changed. */
  readonly #closedMode: number | null;

  private constructor(descriptor: number, path: Buffer, closedMode: number | null) {
    this.#descriptor = descriptor;
    this.#path = throughDescriptors ? Buffer.from(`/proc/self/fd/${descriptor}`) : path;
    this.#closedMode = closedMode;
  }

  /**
   * Null for a file that is mounted, a link, or a folder that has gone. A folder whose own mode keeps its owner out is opened to the owner until `close`:
   * where the stack isn't root, a command of the same user could hide in it.
   */
  static open(path: string | Buffer): WatchedFolder | null {
    const bytes = Buffer.from(path);
    try {
      return new WatchedFolder(openSync(bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), bytes, null);
    } catch (error) {
      if (codeOf(error) !== 'EACCES' || !throughDescriptors) return null;
    }
    const unlocked = unlock(bytes);
    return unlocked === null ? null : new WatchedFolder(unlocked.descriptor, bytes, unlocked.mode);
  }

  inner(name: Buffer): WatchedFolder | null {
    return WatchedFolder.open(this.#pathOf(name));
  }

  /** Entries of the folder, without those that are deleted during the reading. */
  *entries(): Generator<{ name: Buffer; isDirectory: boolean }> {
    let directory: Dir | undefined;
    try {
      directory = opendirSync(this.#path, { encoding: bufferEncoding });
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
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
    try {
      return lstatSync(this.#pathOf(name)).blocks;
    } catch {
      return 0;
    }
  }

  close(): void {
    if (this.#closedMode !== null) fchmodSync(this.#descriptor, this.#closedMode);
    closeSync(this.#descriptor);
  }

  #pathOf(name: Buffer): Buffer {
    return Buffer.concat([this.#path, separator, name]);
  }
}

/** Never follows a link: the mode is changed through a descriptor that was opened without reading. */
function unlock(path: Buffer): { descriptor: number; mode: number } | null {
  let closed: number | undefined;
  try {
    closed = openSync(path, pathOnly | O_DIRECTORY | O_NOFOLLOW);
    const self = `/proc/self/fd/${closed}`;
    const mode = fstatSync(closed).mode & 0o7777;
    chmodSync(self, mode | readAndEnter);
    return { descriptor: openSync(self, O_RDONLY | O_DIRECTORY), mode };
  } catch {
    return null;
  } finally {
    if (closed !== undefined) closeSync(closed);
  }
}
