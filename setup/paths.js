/** Paths that set-up reads and writes. Besides `node_modules`, all files it creates are in the git-ignored cache folder of this checkout. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's top folder. */
export const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

export const cacheFolder = join(projectFolder, '.cache');
export const binFolder = join(cacheFolder, 'bin');
/** Node's compile cache. Without it every start strips the types from every source again. */
export const compiledFolder = join(cacheFolder, 'compiled');
export const temporaryFolder = join(cacheFolder, 'tmp');
export const resultFile = join(cacheFolder, 'setup.json');
export const lockFile = join(cacheFolder, 'setup.lock');
