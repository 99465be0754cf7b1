import { rfc3339, workSandboxId } from '../command-inputs.ts';
import type { SandboxInput, WorktreeInput } from '../command-inputs.ts';
import type { TaskContext } from '../task-context.ts';

export const removeSandbox = (context: TaskContext): SandboxInput<'remove'> => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
});

export const removeWorktree = (context: TaskContext): WorktreeInput<'remove'> => ({
  owner: context.owner,
  repository: context.repository,
  keepBranch: context.keepBranch,
  date: rfc3339(context.enteredAtMs),
});
