/**
 * A folder for the objects of one import. A git that is ended leaves half-written packs, which nothing counts and, while a task of the repository
 * lives, nothing collects. Here they are removed with the folder.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Half-written files, and the file that marks a pack as in use by the import. */
const unfinished = /^tmp_|\.keep$/;

/** Makes the folder in `parent`. `store`: the git directory whose objects are borrowed. */
export function makeObjectFolder(parent: string, store: string): string {
  // A name of its own: a git that outlived its service doesn't write to the folder of the next import.
  const folder = join(parent, `objects-${randomUUID()}`);
  for (const part of ['info', 'pack']) mkdirSync(join(folder, part), { recursive: true });
  writeFileSync(join(folder, 'info/alternates'), `${store}/objects\n`);
  return folder;
}

/** Paths below the folder, in the order in which they are moved: git opens a pack when it sees its index. */
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

/** Moves all objects to the store. What is there already is replaced by the same content: names are hashes. */
export function moveObjects(folder: string, store: string): void {
  for (const path of objectFiles(folder)) {
    mkdirSync(join(store, 'objects', path, '..'), { recursive: true });
    renameSync(join(folder, path), join(store, 'objects', path));
  }
}
