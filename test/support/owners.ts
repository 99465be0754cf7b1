import { execFile } from 'node:child_process';
import { lchown, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** Changes the owner of a folder and its content. Does nothing if the test doesn't run as root. */
export async function giveTo(folder: string, owner: number): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await lchown(folder, owner, owner);
  for (const name of await readdir(folder, { recursive: true })) await lchown(path.join(folder, name), owner, owner);
}

/** Returns the files in a folder that this user doesn't own. */
export async function strangersIn(folder: string, uid: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)('find', [folder, '!', '-uid', String(uid)]);
  return stdout.split('\n').filter((line) => line !== '');
}
