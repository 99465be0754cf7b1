import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** What is read of a file in a user's repository, in bytes: the files that are read there hold a name. */
export const plainFileBytesMax = 64 * 1024;

/**
 * The first 64 KiB of a plain file that somebody else can write; undefined for anything else. A pipe or device in its place doesn't
 * make us wait, and a link isn't followed.
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
