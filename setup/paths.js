/** Where set-up reads and writes. Everything it makes lies in the git-ignored cache folder of this checkout. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's top folder. */
export const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

export const cacheFolder = join(projectFolder, '.cache');
export const binFolder = join(cacheFolder, 'bin');
/** What Node has compiled, for the next process: without it the types are stripped from every source at every start. */
export const compiledFolder = join(cacheFolder, 'compiled');
export const temporaryFolder = join(cacheFolder, 'tmp');
export const resultFile = join(cacheFolder, 'setup.json');
export const lockFile = join(cacheFolder, 'setup.lock');
