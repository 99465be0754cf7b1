/**
 * Reads a folder that an agent has written, without following symbolic links in it, even if a link replaces an entry
 * during the read.
 *
 * A handle keeps the folder open and accesses its entries by /proc/self/fd/N/name, like openat(2). Without /proc, it
 * uses plain paths. This is acceptable, since the sandbox has ended before the folder is read.
 */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  type BigIntStats,
} from 'node:fs';
import { bytesOf } from '../folders.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
const throughDescriptors = existsSync('/proc/self/fd');

export class FolderHandle {
  readonly #descriptor: number;
  readonly #path: string;

  private constructor(path: string) {
    this.#descriptor = openSync(bytesOf(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    this.#path = throughDescriptors ? `/proc/self/fd/${this.#descriptor}` : path;
  }

  /** Opens a folder. `path` is a byte string. Throws the system's error (ENOTDIR, ELOOP, EACCES …). */
  static open(path: string): FolderHandle {
    return new FolderHandle(path);
  }

  folder(name: string): FolderHandle {
    return new FolderHandle(`${this.#path}/${name}`);
  }

  /** Lists names as byte strings, sorted. */
  names(): string[] {
    return readdirSync(bytesOf(this.#path), { encoding: 'buffer' })
      .map((name) => name.toString('latin1'))
      .toSorted();
  }

  stat(name: string): BigIntStats {
    return lstatSync(bytesOf(`${this.#path}/${name}`), { bigint: true });
  }

  /** Changes an entry's mode. Follows symbolic links, so `stat` must have reported that the entry isn't a link. */
  setMode(name: string, mode: number): void {
    chmodSync(bytesOf(`${this.#path}/${name}`), mode);
  }

  /** Renames an entry of any kind to a free name in `target`. */
  move(name: string, target: FolderHandle, newName: string): void {
    renameSync(bytesOf(`${this.#path}/${name}`), bytesOf(`${target.#path}/${newName}`));
  }

  link(name: string): string {
    return readlinkSync(bytesOf(`${this.#path}/${name}`), { encoding: 'buffer' }).toString('latin1');
  }

  /** Opens a regular file. Never follows a symbolic link, and never blocks on a fifo. The caller closes the descriptor. */
  file(name: string): { descriptor: number; stat: BigIntStats } {
    const descriptor = openSync(bytesOf(`${this.#path}/${name}`), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    return { descriptor, stat: fstatSync(descriptor, { bigint: true }) };
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * Calls `look` for the entry at `path` below `root` (byte strings). Opens each folder on the path by a handle, so that
 * no symbolic link is followed.
 */
export function beneath<T>(root: string, path: string, look: (folder: FolderHandle, name: string) => T): T {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let folder = FolderHandle.open(root);
  try {
    for (const name of names) {
      const next = folder.folder(name);
      folder.close();
      folder = next;
    }
    return look(folder, last);
  } finally {
    folder.close();
  }
}
