import type { z } from 'zod';
import type { worktreeOperations } from '@coppice/contracts';
import type { TaskContext } from './task-context.ts';

/** What follows from a prepared merge, in `verifying` and in `landing`. */
type MergeDone = { event: { output: z.output<typeof worktreeOperations.prepareMerge.output> } };

/** The ways in which a merge isn't to be had. */
export const mergeRefusals = () =>
  [
    {
      guard: ({ event }: MergeDone) => event.output.status === 'conflict',
      target: '#task.cleaning',
      actions: {
        type: 'decide',
        params: ({ context, event }: MergeDone & { context: TaskContext }) => ({
          end: 'failed' as const,
          reason: `conflicts with ${context.baseBranch} in ${event.output.status === 'conflict' ? event.output.paths.join(', ') : ''}`,
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

export const mergePrepared = {
  type: 'holdMerge',
  params: ({ event }: MergeDone) =>
    event.output.status === 'merged-in-store'
      ? { merge: event.output, protectedPaths: event.output.protectedPaths }
      : { merge: null, protectedPaths: [] },
} as const;

/** Whether a merge changes protected paths that no person has seen yet. */
export const reachesUnapproved = (context: TaskContext, output: MergeDone['event']['output']): boolean =>
  output.status === 'merged-in-store' && output.protectedPaths.some((path) => !context.approvedPaths.includes(path));
