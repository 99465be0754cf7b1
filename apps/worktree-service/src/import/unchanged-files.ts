/**
 * Compares a file whose fingerprint has changed with the file's original content. Restoring a backup or moving the data
 * folder also changes the fingerprint, since every file gets a new ctime and inode.
 */
import { closeSync, readSync, type BigIntStats } from 'node:fs';
import type { StepBudget } from '@coppice/service';
import { byteString, fingerprint, modeAndSize } from '../folders.ts';
import type { Snapshot, SnapshotEntry } from '../worktree/snapshot.ts';
import { blobHash } from './blob-hash.ts';
import { beneath, type FolderHandle } from './folder-handle.ts';

/** Original state of the worktree. `sealed` is the sealed folder of its setup. Null if no setup was recorded. */
export type Given = { snapshot: Snapshot; sealed: string | null };

/** Entry in its current state. */
export type Found = { folder: FolderHandle; name: string; path: string; stat: BigIntStats };

const chunkBytes = 256 * 1024;
const bytesPerStep = 64;
const sha1Digits = 40;

/** Reports whether a file or link can have its original content, without reading it. */
export const mayBeUnchanged = (known: SnapshotEntry, stat: BigIntStats): boolean =>
  known.fingerprint.startsWith(modeAndSize(stat));

/**
 * Reports whether a file or link for which `mayBeUnchanged` is true has its original content. The original is a known
 * blob or a file of the sealed setup.
 */
export async function isUnchanged(
  known: SnapshotEntry,
  found: Found,
  sealed: string | null,
  budget: StepBudget,
): Promise<boolean> {
  const digits = known.objectId?.length ?? sha1Digits;
  const wanted = known.objectId ?? (sealed === null ? null : await sealedBlob(sealed, found.path, digits, budget));
  return wanted !== null && wanted === (await blobOf(found, digits, budget));
}

/**
 * Hashes an entry of the sealed setup. Returns null if the entry doesn't exist. Follows no link, since the setup's user
 * could have replaced the entry.
 */
async function sealedBlob(sealed: string, path: string, digits: number, budget: StepBudget): Promise<string | null> {
  try {
    const held = beneath(byteString(sealed), path, (folder, name) => {
      const stat = folder.stat(name);
      return stat.isSymbolicLink() ? folder.link(name) : folder.file(name);
    });
    return typeof held === 'string' ? linkBlob(held, digits) : await fileBlob(held, digits, budget);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Hashes an entry. Returns null if the entry can't be read. If the import needs that entry, the import fails with an
 * error that names the path.
 */
async function blobOf({ folder, name, stat }: Found, digits: number, budget: StepBudget): Promise<string | null> {
  if (stat.isSymbolicLink()) return linkBlob(folder.link(name), digits);
  if (!stat.isFile()) return null;
  let opened: { descriptor: number; stat: BigIntStats };
  try {
    opened = folder.file(name);
  } catch {
    return null;
  }
  const isThatFile = fingerprint(opened.stat) === fingerprint(stat);
  const blob = await fileBlob(opened, digits, budget);
  return isThatFile ? blob : null;
}

function linkBlob(target: string, digits: number): string {
  const content = Buffer.from(target, 'latin1');
  return blobHash(content.length, digits).update(content).digest('hex');
}

/** Hashes and closes a file. Returns null if it isn't a regular file or is shorter than `stat` says. */
async function fileBlob(
  { descriptor, stat }: { descriptor: number; stat: BigIntStats },
  digits: number,
  budget: StepBudget,
): Promise<string | null> {
  try {
    if (!stat.isFile()) return null;
    const hash = blobHash(stat.size, digits);
    const buffer = Buffer.alloc(Math.min(chunkBytes, Number(stat.size)));
    for (let left = Number(stat.size); left > 0;) {
      const read = readSync(descriptor, buffer, 0, Math.min(left, buffer.length), null);
      if (read === 0) return null;
      hash.update(buffer.subarray(0, read));
      left -= read;
      budget.spend(read / bytesPerStep);
      if (budget.due) await budget.yield();
    }
    return hash.digest('hex');
  } finally {
    closeSync(descriptor);
  }
}
