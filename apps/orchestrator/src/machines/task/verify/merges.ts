import type { z } from 'zod';
import type { MergeConflict, WireError, worktreeOperations } from '@coppice/contracts';
import type { TaskContext } from '../task-context.ts';
import { shorten } from '../../shorten.ts';
import { shortened } from '../task-setup.ts';

type MergeDone = { event: { output: z.output<typeof worktreeOperations.prepareMerge.output> } };

type Conflict = Extract<MergeDone['event']['output'], { status: 'conflict' }>;

const limits = { paths: 20, pathCharacters: 300 } as const;

/** The reason for a merge conflict, as a sentence and as data. */
function conflictOf(branch: string, output: Conflict): { reason: string; failure: WireError } {
  const shown = (path: string) => shorten(path, limits.pathCharacters);
  const paths = output.paths.slice(0, limits.paths).map(shown);
  const landed = output.landed.map(({ path, commits }) => ({ path: shown(path), commits }));
  const reason = `conflicts with ${branch} in ${output.paths.join(', ')}`;
  const details: MergeConflict = { branch, tip: output.tip, paths, landed };
  return { reason, failure: { code: 'merge-conflict', message: shortened(reason), retryable: false, details } };
}

/** Transitions if `prepareMerge` made no merge. There was a conflict, or the target already contains the change. */
export const mergeRefusals = () =>
  [
    {
      guard: ({ event }: MergeDone) => event.output.status === 'conflict',
      target: '#task.cleaning',
      actions: {
        type: 'decide',
        params: ({ context, event }: MergeDone & { context: TaskContext }) => ({
          end: 'failed' as const,
          ...(event.output.status === 'conflict' ? conflictOf(context.baseBranch, event.output) : {}),
        }),
      },
    },
    {
      guard: ({ event }: MergeDone) => event.output.status === 'already-merged',
      target: '#task.cleaning',
      actions: {
        type: 'decide',
        params: ({ context }: { context: TaskContext }) => ({
          end: 'no-changes' as const,
          reason: `${context.baseBranch} holds this change already`,
        }),
      },
    },
  ] as const;

/** Stores the merge, and adds the protected paths that it changes. */
export function mergePrepared(context: TaskContext, output: MergeDone['event']['output']) {
  const merged = output.status === 'merged-in-store' ? output : null;
  return {
    merge: merged,
    protectedPaths: [...new Set([...context.protectedPaths, ...(merged?.protectedPaths ?? [])])],
    verifications: context.verifications + 1,
    retries: 0,
  };
}

export const needsApproval = ({ context }: { context: TaskContext }): boolean =>
  context.protectedPaths.some((path) => !context.approvedPaths.includes(path));

/** True if the merge changes protected paths that aren't approved yet. */
export const reachesUnapproved = (context: TaskContext, output: MergeDone['event']['output']): boolean =>
  output.status === 'merged-in-store' && output.protectedPaths.some((path) => !context.approvedPaths.includes(path));
