/**
 * Temporary folder for the objects of one import. A killed git leaves incomplete packs. In the store, such packs would
 * count towards no limit, and no garbage collection would remove them while the repository has tasks. In this folder,
 * they are removed with the folder.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files that are not moved to the store: incomplete files and the .keep files of packs. */
const unfinished = /^tmp_|\.keep$/;

/** Creates the folder in `parent`. It borrows the objects of the git directory `store`. */
export function makeObjectFolder(parent: string, store: string): string {
  // The name is unique, so that a git process of a killed service can't write to the folder of the next import.
  const folder = join(parent, `objects-${randomUUID()}`);
  for (const part of ['info', 'pack']) mkdirSync(join(folder, part), { recursive: true });
  writeFileSync(join(folder, 'info/alternates'), `${store}/objects\n`);
  return folder;
}

/**
 * Lists paths relative to the folder, in the order of the move. Indexes come last, since git opens a pack as soon as
 * its index exists.
 */
function objectFiles(folder: string): string[] {
  const rank = (path: string): number => (path.endsWith('.pack') ? 0 : path.endsWith('.idx') ? 2 : 1);
  return readdirSync(folder)
    .filter((part) => part !== 'info')
    .flatMap((part) => readdirSync(join(folder, part)).map((name) => ({ name, path: join(part, name) })))
    .filter(({ name }) => !unfinished.test(name))
    .map(({ path }) => path)
    .toSorted((one, other) => rank(one) - rank(other));
}

export const objectBytes = (folder: string): number =>
  objectFiles(folder).reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);

/** Moves all objects to the store. Names are hashes, so an existing file is replaced by the same content. */
export function moveObjects(folder: string, store: string): void {
  for (const path of objectFiles(folder)) {
    mkdirSync(join(store, 'objects', path, '..'), { recursive: true });
    renameSync(join(folder, path), join(store, 'objects', path));
  }
}
