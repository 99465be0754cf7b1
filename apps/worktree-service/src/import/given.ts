/**
 * What an agent was given, looked at again where a file's fingerprint tells that it was written to. It may have been by nobody's hand: a restored
 * backup, or a data folder that was moved, gives every file a new ctime and inode.
 */
import { closeSync, readSync, type BigIntStats } from 'node:fs';
import type { Turns } from '@coppice/service';
import { byteString, fingerprint, modeAndSize } from '../folders.ts';
import type { Snapshot, SnapshotEntry } from '../worktree/snapshot.ts';
import { blobHash } from './blob-hash.ts';
import { beneath, type FolderHandle } from './folder-handle.ts';

/** How the worktree looked, and the folder that holds what setup left in it; null where there was no setup, or none was noted. */
export type Given = { snapshot: Snapshot; sealed: string | null };

/** An entry of the worktree, as it was found. */
export type Found = { folder: FolderHandle; name: string; path: string; stat: BigIntStats };

const chunkBytes = 256 * 1024;
const bytesPerStep = 64;
const sha1Digits = 40;

/** Whether a file or link may have the content that it was given with; unread. */
export const mayBeAsGiven = (known: SnapshotEntry, stat: BigIntStats): boolean =>
  known.fingerprint.startsWith(modeAndSize(stat));

/** Whether a file or link that `mayBeAsGiven` has the content that it was given with. Reads all of it, and of what was given. */
export async function isAsGiven(
  known: SnapshotEntry,
  found: Found,
  sealed: string | null,
  turns: Turns,
): Promise<boolean> {
  const digits = known.objectId?.length ?? sha1Digits;
  const wanted = known.objectId ?? (sealed === null ? null : await sealedBlob(sealed, found.path, digits, turns));
  return wanted !== null && wanted === (await blobOf(found, digits, turns));
}

/** Nothing but the setup's own user can have put another thing in its place; null where there is none. */
async function sealedBlob(sealed: string, path: string, digits: number, turns: Turns): Promise<string | null> {
  try {
    const held = beneath(byteString(sealed), path, (folder, name) => {
      const stat = folder.stat(name);
      return stat.isSymbolicLink() ? folder.link(name) : folder.file(name);
    });
    return typeof held === 'string' ? linkBlob(held, digits) : await fileBlob(held, digits, turns);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Null for what can't be read: where it is imported, it is refused by its name. */
async function blobOf({ folder, name, stat }: Found, digits: number, turns: Turns): Promise<string | null> {
  if (stat.isSymbolicLink()) return linkBlob(folder.link(name), digits);
  if (!stat.isFile()) return null;
  let opened: { descriptor: number; stat: BigIntStats };
  try {
    opened = folder.file(name);
  } catch {
    return null;
  }
  const isThatFile = fingerprint(opened.stat) === fingerprint(stat);
  const blob = await fileBlob(opened, digits, turns);
  return isThatFile ? blob : null;
}

function linkBlob(target: string, digits: number): string {
  const content = Buffer.from(target, 'latin1');
  return blobHash(content.length, digits).update(content).digest('hex');
}

/** Closes it. Null where it is no file, or ends early. */
async function fileBlob(
  { descriptor, stat }: { descriptor: number; stat: BigIntStats },
  digits: number,
  turns: Turns,
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
      turns.spend(read / bytesPerStep);
      if (turns.due) await turns.give();
    }
    return hash.digest('hex');
  } finally {
    closeSync(descriptor);
  }
}
