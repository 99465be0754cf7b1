/** Owners of the files in a folder. */
import { execFile } from 'node:child_process';
import { lchown, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** Changes a folder's owner, so that a test that runs as root can act as that user; does nothing for other users. */
export async function giveTo(folder: string, owner: number): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await lchown(folder, owner, owner);
  for (const name of await readdir(folder, { recursive: true })) await lchown(path.join(folder, name), owner, owner);
}

/** Returns the files that another user owns. */
export async function strangersIn(folder: string, uid: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)('find', [folder, '!', '-uid', String(uid)]);
  return stdout.split('\n').filter((line) => line !== '');
}
