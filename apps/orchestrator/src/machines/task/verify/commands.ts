import { sandboxLimits } from '../task-context.ts';
import type { TaskContext } from '../task-context.ts';
import { commitMessage } from '../agent/commands.ts';
import type { SandboxInput, WorktreeInput } from '../command-inputs.ts';

export function prepareMerge(context: TaskContext): WorktreeInput<'prepareMerge'> {
  const { specification, setup, verifiedTree } = context;
  const message = commitMessage(context);
  const merges = specification.method === 'merge';
  return {
    owner: context.owner,
    repository: context.repository,
    targetBranch: context.baseBranch,
    taskCommit: context.commit ?? '',
    method: specification.method,
    // With the method `merge`, the task's own commit and its message land too, so the merge commit needs only a short
    // message. A squash replaces the task's own commit.
    message: merges ? { ...message, type: 'chore', scope: 'merge', body: null, coAuthor: null } : message,
    checkout:
      specification.verify === false
        ? { when: 'never' }
        : verifiedTree === null
          ? { when: 'always' }
          : { when: 'tree-differs-from', tree: verifiedTree },
    protect: specification.protect,
    setup: specification.setup === null || setup === null ? null : { ...setup, inputs: specification.setup.inputs },
  };
}

export function verify(context: TaskContext): SandboxInput<'run'> {
  const { specification, merge, owner } = context;
  const command = specification.verify === false ? 'true' : specification.verify;
  const setup = specification.setup;
  // If the setup's inputs have changed, the setup runs again. It runs in the verify sandbox, since an agent may have
  // written the setup's code.
  const runsSetup = setup !== null && merge?.checkout?.setupIsCurrent === false;
  return {
    specification: {
      owner,
      sandboxId: `${owner.taskId}-verify-${context.verifications}`,
      image: specification.image,
      mounts: merge?.checkout?.mounts ?? [],
      network: specification.network.verify,
      limits: sandboxLimits,
      environment: {},
    },
    command: {
      shell: runsSetup ? `( ${setup.run}\n) && ( ${command}\n)` : command,
      timeLimitMs: specification.timeLimitMs,
    },
  };
}
