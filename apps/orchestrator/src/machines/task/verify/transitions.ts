import type { CommandResult, TaskEnd } from '@coppice/contracts';
import { failureOf } from '@coppice/durable-actor';
import type { EventObject } from 'xstate';
import { logTail, verifyFailure } from '../command-result.ts';
import { taskLimits } from '../task-context.ts';
import type { TaskContext } from '../task-context.ts';

/** Transitions of a verification, in `verifying` and `landing`. */

/** True if the verification had no result, since the error is retryable or the executor was lost. */
function mayVerifyAgain({ context, event }: { context: TaskContext; event: EventObject }): boolean {
  const { retryable, code } = failureOf(event).error;
  return (retryable || code === 'unknown') && context.verifyRetries + 1 < taskLimits.stepTriesMax;
}

/**
 * Retries a verification without a result, on a new merge. The command may have changed the tree, and a second run on a
 * changed tree would verify nothing.
 */
export const orVerifyAnew = (merging: string) =>
  [
    { guard: mayVerifyAgain, target: merging, actions: 'countVerifyRetry' },
    { target: '#task.cleaning', actions: 'fail' },
  ] as const;

export const treeVerified = ({ merge }: TaskContext) => ({
  verifiedTree: merge?.tree ?? null,
  retries: 0,
  verifyRetries: 0,
});

export function verifyFailed({ specification }: TaskContext, output: CommandResult) {
  const end: TaskEnd = output.timedOut ? 'timed-out' : 'failed';
  const reason = verifyFailure(output, specification.timeLimitMs);
  return { end, reason, logTail: logTail(output), logArtifact: output.logArtifact };
}
