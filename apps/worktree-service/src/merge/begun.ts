/**
 * Records that a user's checkout is being fast-forwarded. The record is written before git changes a file in the
 * checkout, and removed after git has ended normally. If a later landing finds the record, git or the machine was
 * stopped, so changes in the checkout may come from the recorded landing. One record per branch is enough, since
 * landings in a repository run one at a time.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { safeName } from '../layout.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';

const begunSchema = z.object({
  /** Folder of the checkout. */
  path: z.string(),
  branch: z.string(),
  /** Commits of the branch before and after the landing. */
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

/**
 * Reads the record. Returns undefined if there is none or if it can't be parsed, since the record only serves
 * explanations and must not block a landing.
 */
export function readBegun(context: Context, repositoryId: string, branch: string): Begun | undefined {
  const note = noteOf(context, repositoryId, branch);
  if (!existsSync(note)) return undefined;
  try {
    return begunSchema.parse(JSON.parse(readFileSync(note, 'utf8')));
  } catch {
    return undefined;
  }
}
