/** What agents and setups leave that is hard to handle. */
import { chownSync } from 'node:fs';
import { shell } from './fixture.ts';

/** Folders in folders, deeper than a path can say where `levels` times `nameLength` is more than 4,096; a file lies in the last. */
export async function digDeep(folder: string, levels: number, nameLength: number): Promise<void> {
  // Each step is taken relative to the one before.
  const program = `my $name = "d" x ${nameLength}; for (1..${levels}) { mkdir $name or die; chdir $name or die } open(F, ">", "file") or die`;
  await shell(`perl -e '${program}'`, folder);
}

const userId = 10_777;

/** Runs `work`, which starts no process, as a user that isn't root, and that owns `folder`. Who isn't root is one already. */
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
