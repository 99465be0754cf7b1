import { shortHash } from '@coppice/contracts';
import type { TurnRequest } from '../../landing-machine.ts';
import type { WorktreeInput } from '../command-inputs.ts';
import { taskLimits } from '../task-context.ts';
import type { TaskContext } from '../task-context.ts';

const landingOverheadMs = 30 * 60_000;

export const takeTurn = (context: TaskContext): TurnRequest => ({
  tenant: context.owner.tenant,
  repositoryId: context.repositoryId,
  branch: context.baseBranch,
  taskId: context.owner.taskId,
  // Each landing attempt may verify once more.
  holdMs: taskLimits.landingAttemptsMax * context.specification.timeLimitMs + landingOverheadMs,
});

const branchToken = (repositoryId: string, branch: string): string => shortHash('branch', repositoryId, branch);

/** Id of the actor that grants the landing slot of a branch. */
export const landingId = (branch: { tenant: string; repositoryId: string; branch: string }): string =>
  `${branch.tenant}.${branchToken(branch.repositoryId, branch.branch)}`;

export const land = (context: TaskContext): WorktreeInput<'land'> => ({
  owner: context.owner,
  repository: context.repository,
  targetBranch: context.baseBranch,
  expectedTip: context.merge?.tip ?? '',
  commit: context.merge?.commit ?? '',
});

export const pushBranch = (context: TaskContext): WorktreeInput<'pushBranch'> => ({
  owner: context.owner,
  repository: context.repository,
  branch: context.branch ?? '',
  commit: context.commit ?? '',
});
