import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type TemporaryFolder = AsyncDisposable & {
  /** Absolute path without symbolic links. On macOS, the system's temporary folder is one. */
  path: string;
  remove: () => Promise<void>;
};

export async function temporaryFolder(name = 'test'): Promise<TemporaryFolder> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), `coppice-${name}-`)));
  // The removal is retried, since a process that was just killed may still write files.
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  return { path: folder, remove, [Symbol.asyncDispose]: remove };
}
