/**
 * The note that a checkout of the user's is being brought forward: one for a branch of a repository, since its landings take turns. It is
 * written before git changes a file there, and taken away when git has ended by itself. One that is found tells that git, or the machine, was
 * stopped in between: what is changed in the checkout may be of that landing.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';

const begunSchema = z.object({
  /** The checkout's folder. */
  path: z.string(),
  branch: z.string(),
  /** The commits that the branch was to be moved from and to. */
  from: z.string(),
  to: z.string(),
});
export type Begun = z.infer<typeof begunSchema>;

function noteOf(context: Context, repositoryId: string, branch: string): string {
  const name = createHash('sha256').update(branch).digest('hex').slice(0, 40);
  return join(context.layout.landings, `${safeName(repositoryId, 'repository id')}-${name}.json`);
}

export const noteBegun = (context: Context, repositoryId: string, begun: Begun): void =>
  writeFileAtomically(noteOf(context, repositoryId, begun.branch), JSON.stringify(begun));

export const forgetBegun = (context: Context, repositoryId: string, branch: string): void =>
  rmSync(noteOf(context, repositoryId, branch), { force: true });

/** Undefined, too, for a note that can't be understood: it only explains, and must not be in the way. */
export function readBegun(context: Context, repositoryId: string, branch: string): Begun | undefined {
  const note = noteOf(context, repositoryId, branch);
  if (!existsSync(note)) return undefined;
  try {
    return begunSchema.parse(JSON.parse(readFileSync(note, 'utf8')));
  } catch {
    return undefined;
  }
}
