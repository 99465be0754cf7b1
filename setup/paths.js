/** Paths that set-up reads and writes. All files that it creates are in `node_modules` or in the git-ignored cache folder of this checkout. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of the checkout. */
export const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

export const cacheFolder = join(projectFolder, '.cache');
export const binFolder = join(cacheFolder, 'bin');
/** Folder of Node's compile cache. Without it, each start would strip the types from every source file again. */
export const compiledFolder = join(cacheFolder, 'compiled');
export const temporaryFolder = join(cacheFolder, 'tmp');
export const resultFile = join(cacheFolder, 'setup.json');
export const lockFile = join(cacheFolder, 'setup.lock');
