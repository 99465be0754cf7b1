import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { ownDraftPattern } from '@coppice/contracts';
import { StepBudget } from '@coppice/service';
import { byteString, bytesOf, moveAway, type Owner } from '../folders.ts';

const ownerAll = 0o700;
const stepsPerEntry = 100;

/**
 * Moves what a setup command left from `tree` to `result`. A folder without tracked files is moved in one step. In
 * other folders, only untracked entries are moved. `tracked` contains byte strings. Follows no symbolic link.
 */
export async function moveUntracked(
  owner: Owner,
  tree: string,
  result: string,
  tracked: Set<string>,
  signal?: AbortSignal,
): Promise<void> {
  const budget = new StepBudget({ signal });
  const trackedFolders = new Set<string>(['']);
  for (const path of tracked) {
    budget.spend(stepsPerEntry);
    if (budget.due) await budget.yield();
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
      trackedFolders.add(path.slice(0, end));
  }
  const made = new Set<string>();
  const [from, to] = [byteString(tree), byteString(result)];
  const makeFolder = (folder: string) => {
    if (made.has(folder)) return;
    made.add(folder);
    const path = bytesOf(folder === '' ? to : `${to}/${folder}`);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(path, { recursive: true, mode: 0o755 });
    if (owner !== null) chownSync(path, owner.uid, owner.gid);
  };
  const visit = async (folder: string): Promise<void> => {
    openToOwner(folder === '' ? from : `${from}/${folder}`);
    for (const entry of readdirSync(bytesOf(folder === '' ? from : `${from}/${folder}`), {
      encoding: 'buffer',
      withFileTypes: true,
    })) {
      budget.spend(stepsPerEntry);
      if (budget.due) await budget.yield();
      const name = entry.name.toString('latin1');
      const path = folder === '' ? name : `${folder}/${name}`;
      if (path === '.git' || tracked.has(path)) continue;
      if (trackedFolders.has(path)) {
        if (entry.isDirectory()) await visit(path);
        continue;
      }
      if (ownDraftPattern.test(name)) continue;
      if (!made.has(folder))
        for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) makeFolder(path.slice(0, end));
      moveAway(`${from}/${path}`, `${to}/${path}`);
    }
  };
  makeFolder('');
  await visit('');
}

/**
 * Makes a folder writable, so that entries can be moved out of it. The caller has checked that it isn't a link, and
 * deletes it afterwards.
 */
function openToOwner(folder: string): void {
  const { mode } = lstatSync(bytesOf(folder));
  if ((mode & ownerAll) !== ownerAll && process.geteuid?.() !== 0)
    chmodSync(bytesOf(folder), (mode & 0o7777) | ownerAll);
}
