import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type TemporaryFolder = AsyncDisposable & {
  /** Absolute, with symbolic links resolved (on macOS the system's temporary folder is one). */
  path: string;
  remove: () => Promise<void>;
};

/** A new empty folder of the system's temporary folder. */
export async function temporaryFolder(name = 'test'): Promise<TemporaryFolder> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), `coppice-${name}-`)));
  // A process that has just been ended may still be closing its files.
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  return { path: folder, remove, [Symbol.asyncDispose]: remove };
}
