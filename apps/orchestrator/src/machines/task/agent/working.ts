import { agentStates } from '../../../agents/registry.ts';
import type { TaskContext } from '../task-context.ts';
import { taskSetup } from '../task-setup.ts';
import { cancelNow } from '../transitions.ts';

/**
 * Reason for a timeout. If the current step is being retried, the reason includes its last failure, such as the
 * provider's error message.
 */
function reasonOfTimeout({ specification, retries, retryReason }: TaskContext): string {
  const reason = `the agent took longer than ${Math.round(specification.timeLimitMs / 1_000)} s`;
  return retries === 0 || retryReason === undefined ? reason : `${reason}; the last failure: ${retryReason}`;
}

/** Runs the agent within its time limit. */
export const working = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'working' } },
  on: cancelNow,
  after: {
    agentTimeLimit: {
      target: 'cleaning',
      actions: {
        type: 'decide',
        params: ({ context }) => ({ end: 'timed-out', reason: reasonOfTimeout(context) }),
      },
    },
  },
  initial: 'choosing',
  states: agentStates(),
});
