import { usageSchema } from '@coppice/contracts';
import { addUsage } from '../usage.ts';
import type {
  Mount,
  Owner,
  SandboxLimits,
  TaskEnd,
  TaskSpecification,
  TaskState,
  TextReference,
  Usage,
  WireError,
} from '@coppice/contracts';
import type { AgentFields } from '../../agents/registry.ts';

/** A task's specification, as its actor stores it. A large prompt is in the object store. */
export type HeldSpecification = Omit<TaskSpecification, 'prompt'> & { prompt: TextReference };

export type TaskInput = {
  owner: Owner;
  repository: string;
  /** Id of the repository. It doesn't depend on how its path or URL is written. */
  repositoryId: string;
  baseBranch: string;
  specification: HeldSpecification;
};

/** A task's state. It is written on every step, so it must stay at a few kilobytes. */
export type TaskContext = TaskInput &
  AgentFields & {
    state: TaskState;
    createdAtMs: number;
    /**
     * Time at which `state` was entered. It is also the date of the commits of that state, so that a repeated step
     * makes the same commit.
     */
    enteredAtMs: number;
    /** Number of failed tries of the current step. */
    retries: number;
    /** Reason why the last try failed. Missing in tasks stored by earlier versions. */
    retryReason?: string;
    /** The end of the task. Null until it is decided. */
    end: TaskEnd | null;
    reason: string | null;
    failure: WireError | null;
    keepBranch: boolean;

    setup: { setupKey: string; inputsHash: string } | null;
    node: string | null;
    branch: string | null;
    baseCommit: string | null;
    mounts: Mount[];
    /** True if there may be a sandbox to remove. */
    sandboxOpen: boolean;
    /** True if there may be a worktree to remove. */
    worktreeOpen: boolean;
    /** The agent's summary, which becomes the body of its commit. */
    summary: string | null;

    commit: string | null;
    filesChanged: number | null;
    /**
     * Changed paths that need the user's approval. They are the protected paths that the task's commit or its merge
     * changes.
     */
    protectedPaths: string[];
    approvedPaths: string[];

    merge: PreparedMerge | null;
    /** The merged tree on which the verify command exited with 0. */
    verifiedTree: string | null;
    verifications: number;
    /** Number of consecutive verifications without a result. */
    verifyRetries: number;
    landingAttempts: number;
    /** The landing slot's token, while the task holds the slot. */
    turn: string | null;
    landedCommit: string | null;
    finishCommand: string | null;
    rescue: string | null;

    usage: Usage;
    modelTurns: number;
    modelTurnsUnknown: number;
    logTail: string | null;
    logArtifact: string | null;
  };

export type PreparedMerge = {
  tip: string;
  commit: string;
  tree: string;
  node: string;
  checkout: { mounts: Mount[]; setupIsCurrent: boolean } | null;
};

export const taskLimits = {
  /** Maximum number of tries of a step, including the first, if each fails with a retryable error. */
  stepTriesMax: 4,
  /** Number of model calls with a lost executor at which the task fails. */
  modelTurnsUnknownMax: 6,
  /** Maximum number of landing attempts. If the target has moved, a new attempt starts. */
  landingAttemptsMax: 8,
  checkpointIntervalMs: 10_000,
  logTailLinesMax: 40,
  logTailCharactersMax: 4_000,
  reasonCharactersMax: 500,
} as const;

export const sandboxLimits: SandboxLimits = {
  memoryBytes: 2 * 1024 ** 3,
  cpus: 2,
  pids: 512,
  scratchBytes: 1024 ** 3,
};

/** Maximum length of the slug in the branch name `coppice/<task id>/<slug>`. */
export const slugCharactersMax = 30;

/**
 * Adds the usage that the error of a failed model call reports. If the call used no tokens, the usage stays as it is,
 * even if the price of the call is unknown.
 */
export function withFailure(usage: Usage, { details }: WireError): Usage {
  const used = usageSchema.safeParse(details?.['usage']).data;
  return used === undefined || (used.inputTokens === 0 && used.outputTokens === 0) ? usage : addUsage(usage, used);
}
