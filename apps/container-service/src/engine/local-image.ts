/** The default image. It is built from this machine's own programs and needs no registry. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CoppiceError } from '@coppice/contracts';
import { reasonOf } from './reason.ts';

export const defaultImage = 'coppice/agent-runtime';

export const runtimeFolder = fileURLToPath(new URL('../../../../deploy/agent-runtime', import.meta.url));

export function isDefaultImage(image: string): boolean {
  return image === defaultImage || image === `${defaultImage}:latest`;
}

/** Exports of deploy/agent-runtime/rootfs.js. */
interface RootfsProgram {
  buildRootfs: (target: string, options: { log: (line: string) => void }) => Promise<unknown>;
  rootfsKey: () => string;
}

async function rootfsProgram(): Promise<RootfsProgram> {
  return (await import(pathToFileURL(join(runtimeFolder, 'rootfs.js')).href)) as RootfsProgram;
}

/**
 * Hash of the contents that a newly built root file system would have. It is cached, since computing it runs git and
 * Node.
 */
let key: Promise<string> | undefined;
export function localRootfsKey(): Promise<string> {
  const computed = (key ??= rootfsProgram().then((program) => program.rootfsKey()));
  // A failure isn't cached, since a missing program may exist the next time.
  computed.catch(() => (key = undefined));
  return computed;
}

const building = new Map<string, Promise<string>>();

/**
 * Returns the folder of the root file system. Builds it if it doesn't exist. Concurrent calls in one process share the
 * work. If two processes build it at the same time, one result is used, since a finished folder is renamed atomically.
 */
export async function localRootfs(imagesFolder: string, onProgress: (line: string) => void): Promise<string> {
  const folder = join(imagesFolder, `agent-runtime-${await localRootfsKey()}`);
  if (existsSync(folder)) return folder;
  const built = building.get(folder) ?? build(folder, onProgress).finally(() => building.delete(folder));
  building.set(folder, built);
  return await built;
}

async function build(folder: string, onProgress: (line: string) => void): Promise<string> {
  try {
    const { buildRootfs } = await rootfsProgram();
    await buildRootfs(folder, { log: onProgress });
  } catch (error) {
    const message = `${defaultImage} can't be made from this machine's programs: ${reasonOf(error)}`;
    throw new CoppiceError('image-not-found', message, { cause: error });
  }
  return folder;
}
