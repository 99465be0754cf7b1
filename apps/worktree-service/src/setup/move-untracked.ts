import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { ownDraftPattern } from '@coppice/contracts';
import { byteString, bytesOf, moveAway, type Owner } from '../folders.ts';

const ownerAll = 0o700;

/**
 * Moves what a setup command left from `tree` to `result`. Whole folders are moved at once; only those with tracked files (byte strings) in them
 * are looked into. No link is followed.
 */
export function moveUntracked(owner: Owner, tree: string, result: string, tracked: Set<string>): void {
  const trackedFolders = new Set<string>(['']);
  for (const path of tracked)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
      trackedFolders.add(path.slice(0, end));
  const [from, to] = [byteString(tree), byteString(result)];
  const makeFolder = (folder: string) => {
    const path = bytesOf(folder === '' ? to : `${to}/${folder}`);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(path, { recursive: true, mode: 0o755 });
    if (owner !== null) chownSync(path, owner.uid, owner.gid);
  };
  const visit = (folder: string) => {
    openToOwner(folder === '' ? from : `${from}/${folder}`);
    for (const entry of readdirSync(bytesOf(folder === '' ? from : `${from}/${folder}`), {
      encoding: 'buffer',
      withFileTypes: true,
    })) {
      const name = entry.name.toString('latin1');
      const path = folder === '' ? name : `${folder}/${name}`;
      if (path === '.git' || tracked.has(path)) continue;
      if (trackedFolders.has(path)) {
        if (entry.isDirectory()) visit(path);
        continue;
      }
      if (ownDraftPattern.test(name)) continue;
      makeFolder('');
      for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) makeFolder(path.slice(0, end));
      moveAway(`${from}/${path}`, `${to}/${path}`);
    }
  };
  makeFolder('');
  visit('');
}

/** The folder (no link: the caller has looked) that things are moved out of may be read-only. It is thrown away afterwards. */
function openToOwner(folder: string): void {
  const { mode } = lstatSync(bytesOf(folder));
  if ((mode & ownerAll) !== ownerAll && process.geteuid?.() !== 0)
    chmodSync(bytesOf(folder), (mode & 0o7777) | ownerAll);
}
