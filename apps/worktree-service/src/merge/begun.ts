/**
 * The note that a checkout of the user's is being brought forward: one for a repository, since its landings take turns. It is written
 * before git changes a file there, and taken away when git has ended by itself. One that is found tells that git, or the machine, was stopped in
 * between: what is changed in the checkout may be ours.
 */
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

const noteOf = (context: Context, repositoryId: string): string =>
  join(context.layout.landings, `${safeName(repositoryId, 'repository id')}.json`);

export const noteBegun = (context: Context, repositoryId: string, begun: Begun): void =>
  writeFileAtomically(noteOf(context, repositoryId), JSON.stringify(begun));

export const forgetBegun = (context: Context, repositoryId: string): void =>
  rmSync(noteOf(context, repositoryId), { force: true });

export function readBegun(context: Context, repositoryId: string): Begun | undefined {
  const note = noteOf(context, repositoryId);
  return existsSync(note) ? begunSchema.parse(JSON.parse(readFileSync(note, 'utf8'))) : undefined;
}
