/** A small file system for the services' data folder. A fault can fill it temporarily. */
import { execFile } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const fillBytesAtOnce = 1024 * 1024;

export type SmallDisk = {
  fill(): Promise<void>;
  free(): Promise<void>;
  unmount(): Promise<void>;
};

/** @returns null if this user may not mount file systems */
export async function mountSmallDisk(folder: string, mebibytes: number): Promise<SmallDisk | null> {
  try {
    await runFile('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=711`, 'coppice-chaos', folder]);
  } catch {
    return null;
  }
  const filler = path.join(folder, 'filler');
  const free = (): Promise<void> => rm(filler, { force: true });
  return {
    free,
    fill: async () => {
      const file = await open(filler, 'w');
      const zeros = Buffer.alloc(fillBytesAtOnce);
      try {
        for (let written = 0; written < mebibytes; written++) {
          const { bytesWritten } = await file.write(zeros);
          if (bytesWritten < zeros.length) break;
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
    },
    unmount: async () => {
      await free();
      // Lazy, since a container that is being removed may still use the file system.
      await runFile('umount', ['--lazy', folder]);
    },
  };
}
