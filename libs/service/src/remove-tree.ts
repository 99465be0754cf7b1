import { randomUUID } from 'node:crypto';
import { chmod, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';

const entriesMax = 5_000_000;
/** A folder whose path is longer than this, below the tree's root, is moved up. Linux takes paths of 4,096 bytes. */
const pathBytesMax = 1_000;

/**
 * Deletes a tree that code which isn't trusted has made: its folders may refuse us, lie deeper than any path can say, and have names that aren't
 * text. Symbolic links are not followed. Nothing may write into it any more. Absent: nothing happens.
 */
export async function removeTree(root: string): Promise<void> {
  try {
    await rm(root, { recursive: true, force: true });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENAMETOOLONG', 'ENOTEMPTY', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
    await removePatiently(Buffer.from(root));
  }
}

/** Whatever has gone meanwhile is fine: Node's own removal, having failed, may still be at work on the rest. */
async function removePatiently(root: Buffer): Promise<void> {
  const opened: Buffer[] = [];
  const folders = [root];
  for (let count = 0; count < entriesMax; count++) {
    let folder = folders.pop();
    if (folder === undefined) break;
    await unlessGone(chmod(folder, 0o700));
    if (folder.length - root.length > pathBytesMax) {
      const higher = within(root, Buffer.from(`moved.${randomUUID()}`));
      await unlessGone(rename(folder, higher));
      folder = higher;
    }
    opened.push(folder);
    for (const entry of (await unlessGone(readdir(folder, { withFileTypes: true, encoding: 'buffer' }))) ?? []) {
      const path = within(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else await unlessGone(unlink(path));
    }
  }
  // Each folder was opened before those inside it; those that were moved up lie in the root.
  for (const folder of opened.toReversed()) await unlessGone(rmdir(folder));
}

const separator = Buffer.from('/');
const within = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, separator, name]);

async function unlessGone<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;
