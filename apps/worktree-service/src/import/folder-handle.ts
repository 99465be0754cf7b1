/**
 * Reading a folder that an agent has written, without following any link in it, even one that is swapped in while reading.
 *
 * A folder is held open, and what is in it is reached through its descriptor (/proc/self/fd/N/name, which is openat). Where there is
 * no /proc, plain paths are used: the sandbox is gone by then, which is the first line of defence anyway.
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

  /** `path` is a byte string. Throws the system's error (ENOTDIR, ELOOP, EACCES …). */
  static open(path: string): FolderHandle {
    return new FolderHandle(path);
  }

  folder(name: string): FolderHandle {
    return new FolderHandle(`${this.#path}/${name}`);
  }

  /** Names as byte strings, sorted. */
  names(): string[] {
    return readdirSync(bytesOf(this.#path), { encoding: 'buffer' })
      .map((name) => name.toString('latin1'))
      .toSorted();
  }

  stat(name: string): BigIntStats {
    return lstatSync(bytesOf(`${this.#path}/${name}`), { bigint: true });
  }

  /** Only for what `stat` has told to be no link: this would follow one. */
  setMode(name: string, mode: number): void {
    chmodSync(bytesOf(`${this.#path}/${name}`), mode);
  }

  /** Renames an entry, whatever it is, to a free name in `target`. */
  move(name: string, target: FolderHandle, newName: string): void {
    renameSync(bytesOf(`${this.#path}/${name}`), bytesOf(`${target.#path}/${newName}`));
  }

  link(name: string): string {
    return readlinkSync(bytesOf(`${this.#path}/${name}`), { encoding: 'buffer' }).toString('latin1');
  }

  /** Opens a regular file: never a link, never waiting for a fifo's other end. The caller closes it. */
  file(name: string): { descriptor: number; stat: BigIntStats } {
    const descriptor = openSync(bytesOf(`${this.#path}/${name}`), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    return { descriptor, stat: fstatSync(descriptor, { bigint: true }) };
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Looks at an entry far below `root`. Each folder on the way is opened by its own handle, so that none can be a link. Byte strings both. */
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
