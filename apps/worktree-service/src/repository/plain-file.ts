import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Maximum number of bytes read from a file in a user's repository. The files contain a name or a small configuration.
 */
export const plainFileBytesMax = 64 * 1024;

/**
 * Reads the first 64 KiB of a plain file that other users may have written. Undefined if the path isn't a plain file or
 * can't be read. Doesn't block on a pipe or device, and doesn't follow a symbolic link.
 */
export function readPlainFile(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  try {
    if (!fstatSync(descriptor).isFile()) return undefined;
    const buffer = Buffer.alloc(plainFileBytesMax);
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, plainFileBytesMax, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
