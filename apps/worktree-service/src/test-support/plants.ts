/** Helpers for files and folders that are hard to handle and that agents and setups may leave. */
import { chownSync } from 'node:fs';
import { shell } from './fixture.ts';

/**
 * Creates nested folders with a file in the innermost one. If `levels` times `nameLength` exceeds 4,096, the file's
 * path is too long for Linux.
 */
export async function digDeep(folder: string, levels: number, nameLength: number): Promise<void> {
  // Each step is relative to the previous folder.
  const program = `my $name = "d" x ${nameLength}; for (1..${levels}) { mkdir $name or die; chdir $name or die } open(F, ">", "file") or die`;
  await shell(`perl -e '${program}'`, folder);
}

const userId = 10_777;

/**
 * Runs `work` as a user that isn't root and that owns `folder`. Without root, runs `work` as the current user. `work`
 * must not start a process.
 */
export async function asUser(folder: string, work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return work();
  chownSync(folder, userId, userId);
  process.seteuid?.(userId);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}
