/** The default image made on this machine, from its own programs, for where no registry can be reached. */
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

/** What deploy/agent-runtime/rootfs.js, a plain JavaScript program, exports. */
interface RootfsProgram {
  buildRootfs: (target: string, options: { log: (line: string) => void }) => Promise<unknown>;
  rootfsKey: () => string;
}

async function rootfsProgram(): Promise<RootfsProgram> {
  return (await import(pathToFileURL(join(runtimeFolder, 'rootfs.js')).href)) as RootfsProgram;
}

/** Names what a root file system made here and now would hold; finding it out asks git and Node, so it is kept. */
let key: Promise<string> | undefined;
export function localRootfsKey(): Promise<string> {
  const asked = (key ??= rootfsProgram().then((program) => program.rootfsKey()));
  // A failure isn't kept: what was missing may be there the next time.
  asked.catch(() => (key = undefined));
  return asked;
}

const building = new Map<string, Promise<string>>();

/**
 * The folder of the root file system, built at first use. Two at once in one process share the work; of two processes
 * one's result is used (a finished folder is moved to its place at once or not at all).
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
