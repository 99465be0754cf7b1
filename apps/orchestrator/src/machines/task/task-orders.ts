import { shortHash, shownModel, slug } from '@coppice/contracts';
import type {
  CommandResult,
  CommitMessage,
  SandboxSpecification,
  sandboxOperations,
  worktreeOperations,
} from '@coppice/contracts';
import type { z } from 'zod';
import { sandboxLimits, slugCharactersMax, taskLimits } from './task-context.ts';
import type { TaskContext } from './task-context.ts';
import type { SetupRequest } from '../setup-machine.ts';
import type { TurnRequest } from '../landing-machine.ts';

/** Inputs of the commands that a task sends in each of its steps. Pure mappings from its context. */

export type WorktreeInput<Name extends keyof typeof worktreeOperations> = z.input<
  (typeof worktreeOperations)[Name]['input']
>;
export type SandboxInput<Name extends keyof typeof sandboxOperations> = z.input<
  (typeof sandboxOperations)[Name]['input']
>;

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

export const resolveSetup = (context: TaskContext): WorktreeInput<'resolveSetup'> => ({
  owner: context.owner,
  repository: context.repository,
  baseBranch: context.baseBranch,
  inputs: context.specification.setup?.inputs ?? [],
});

/** The request for a setup. Tasks with the same inputs and environment on the same node share one setup. */
export function setupRequest(
  context: TaskContext,
  resolved: { baseCommit: string; inputsHash: string; node?: string | undefined },
): SetupRequest {
  const { setup, image, network, timeLimitMs } = context.specification;
  const run = setup?.run ?? '';
  return {
    owner: context.owner,
    repository: context.repository,
    // The key contains tenant and branch, so that neither can decide what is installed for another.
    setupKey: shortHash(
      'setup',
      context.owner.tenant,
      context.repositoryId,
      context.baseBranch,
      run,
      image,
      network.setup,
      resolved.inputsHash,
      resolved.node ?? '',
    ),
    node: resolved.node ?? null,
    baseCommit: resolved.baseCommit,
    run,
    image,
    network: network.setup,
    timeLimitMs,
  };
}

export const prepare = (context: TaskContext): WorktreeInput<'prepare'> => ({
  owner: context.owner,
  repository: context.repository,
  baseBranch: context.baseBranch,
  slug: slug(context.specification.description, slugCharactersMax),
  setupKey: context.setup?.setupKey ?? null,
});

export const workSandboxId = (context: TaskContext): string => `${context.owner.taskId}-work`;

export const createSandbox = (context: TaskContext): SandboxSpecification => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
  image: context.specification.image,
  mounts: context.mounts,
  network: context.specification.network.agent,
  limits: sandboxLimits,
  environment: {},
});

export const removeSandbox = (context: TaskContext): SandboxInput<'remove'> => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
});

export const modelLimitsOf = ({ specification }: TaskContext) => specification.modelLimits ?? { task: {}, run: {} };

function commitMessage(context: TaskContext): CommitMessage {
  const { commit, description, model } = context.specification;
  return {
    type: commit.type,
    scope: commit.scope,
    description,
    body: context.summary,
    // Angle brackets and control characters are removed, so that no model name can look like an address.
    coAuthor: `${shownModel(model).replaceAll(/[<>\p{Cc}]/gu, '')} <noreply@coppice.invalid>`,
    date: rfc3339(context.enteredAtMs),
  };
}

export const commit = (context: TaskContext): WorktreeInput<'commit'> => ({
  owner: context.owner,
  repository: context.repository,
  message: commitMessage(context),
  protect: context.specification.protect,
});

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
    // With `merge`, the task's own commit stays beside the merge commit; a squash replaces it.
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
  // The setup's inputs have changed, so it runs again. It runs in the verify sandbox, since an agent may have written its code.
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

const landingOverheadMs = 30 * 60_000;

export const takeTurn = (context: TaskContext): TurnRequest => ({
  tenant: context.owner.tenant,
  repositoryId: context.repositoryId,
  branch: context.baseBranch,
  taskId: context.owner.taskId,
  // Each attempt may verify again.
  holdMs: taskLimits.landingAttemptsMax * context.specification.timeLimitMs + landingOverheadMs,
});

/** A subject token that identifies a branch of a repository. */
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

export const removeWorktree = (context: TaskContext): WorktreeInput<'remove'> => ({
  owner: context.owner,
  repository: context.repository,
  keepBranch: context.keepBranch,
  date: rfc3339(context.enteredAtMs),
});

export const passed = (result: CommandResult): boolean => result.exitCode === 0 && !result.timedOut;

/** Reason for a failed verification, as one sentence. */
export function verifyFailure(result: CommandResult, timeLimitMs: number): string {
  if (result.timedOut) return `verify took longer than ${Math.round(timeLimitMs / 1_000)} s`;
  if (result.outOfMemory) return 'verify used more memory than its sandbox has';
  if (result.signal !== null) return `verify was ended by ${result.signal}`;
  return `verify ended with exit code ${result.exitCode}`;
}

/** The last lines of what a command printed. */
export function logTail(result: CommandResult): string | null {
  const text = [result.standardOutput, result.standardError].filter((part) => part.trim() !== '').join('\n');
  if (text === '') return null;
  return text
    .trimEnd()
    .split('\n')
    .slice(-taskLimits.logTailLinesMax)
    .join('\n')
    .slice(-taskLimits.logTailCharactersMax);
}
