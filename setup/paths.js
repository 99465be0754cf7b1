/** Paths that set-up reads and writes. Set-up creates files only in `node_modules` and in this checkout's cache folder, which git ignores. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

export const cacheFolder = join(projectFolder, '.cache');
export const binFolder = join(cacheFolder, 'bin');
/** Folder of Node's compile cache. Without this cache, each start of Node would strip the types from every source file again. */
export const compiledFolder = join(cacheFolder, 'compiled');
export const temporaryFolder = join(cacheFolder, 'tmp');
export const resultFile = join(cacheFolder, 'setup.json');
export const lockFile = join(cacheFolder, 'setup.lock');
