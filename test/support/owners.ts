/** Whose the files of a folder are. */
import { execFile } from 'node:child_process';
import { lchown, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** Root's tests play a user whose folder it is; others can only be themselves. */
export async function giveTo(folder: string, owner: number): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await lchown(folder, owner, owner);
  for (const name of await readdir(folder, { recursive: true })) await lchown(path.join(folder, name), owner, owner);
}

/** Files of others than this user. */
export async function strangersIn(folder: string, uid: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)('find', [folder, '!', '-uid', String(uid)]);
  return stdout.split('\n').filter((line) => line !== '');
}
