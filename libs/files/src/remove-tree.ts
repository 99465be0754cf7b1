import { randomUUID } from 'node:crypto';
import { chmod, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';

const entriesMax = 5_000_000;
/**
 * Maximum length of a folder's path below the root. A folder with a longer path is moved up into the root, since Linux
 * limits a path to 4,096 bytes.
 */
const pathBytesMax = 1_000;

/**
 * Deletes a tree that untrusted code created, if the tree exists. Its folders may deny access, its paths may exceed the
 * maximum length, and its names may be invalid text. Symbolic links are deleted, not followed. No process may write
 * into the tree during the deletion.
 */
export async function removeTree(root: string): Promise<void> {
  try {
    await rm(root, { recursive: true, force: true });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENAMETOOLONG', 'ENOTEMPTY', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
    await removeFolderByFolder(Buffer.from(root));
  }
}

/** Ignores missing files, since Node's `rm` may still be deleting files after it has failed. */
async function removeFolderByFolder(root: Buffer): Promise<void> {
  const opened: Buffer[] = [];
  const folders = [root];
  for (let count = 0; count < entriesMax; count++) {
    let folder = folders.pop();
    if (folder === undefined) break;
    await ignoreMissing(chmod(folder, 0o700));
    if (folder.length - root.length > pathBytesMax) {
      const higher = within(root, Buffer.from(`moved.${randomUUID()}`));
      await ignoreMissing(rename(folder, higher));
      folder = higher;
    }
    opened.push(folder);
    for (const entry of (await ignoreMissing(readdir(folder, { withFileTypes: true, encoding: 'buffer' }))) ?? []) {
      const path = within(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else await ignoreMissing(unlink(path));
    }
  }
  // Inner folders must be deleted first. Each folder was opened before the folders inside it, and the root before the
  // folders that were moved up into it.
  for (const folder of opened.toReversed()) await ignoreMissing(rmdir(folder));
}

const separator = Buffer.from('/');
const within = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, separator, name]);

async function ignoreMissing<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;
