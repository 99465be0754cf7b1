import { usageSchema } from '@coppice/contracts';
import { addUsage, noUsage } from '../usage.ts';
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
import { newLoop } from '../../agent/loop-state.ts';
import type { LoopState } from '../../agent/loop-state.ts';

/** A task's specification as its actor holds it: a large prompt lies in the object store. */
export type HeldSpecification = Omit<TaskSpecification, 'prompt'> & { prompt: TextReference };

/** What a task is born with. */
export type TaskInput = {
  owner: Owner;
  repository: string;
  /** Stable for one repository however it was named. */
  repositoryId: string;
  baseBranch: string;
  specification: HeldSpecification;
};

/** Everything a task knows. Plain data, a few kilobytes: it is written on every step. */
export type TaskContext = TaskInput & {
  state: TaskState;
  createdAtMs: number;
  /** When `state` was entered; the date of what is made in it, so that a repeat makes the same. */
  enteredAtMs: number;
  /** Tries of the present step that failed. */
  retries: number;
  /** Why the last of them failed. Missing in tasks of versions before this was kept. */
  retryReason?: string;
  /** How it will end, once that is decided. */
  end: TaskEnd | null;
  reason: string | null;
  failure: WireError | null;
  keepBranch: boolean;

  setup: { setupKey: string; inputsHash: string } | null;
  node: string | null;
  branch: string | null;
  baseCommit: string | null;
  mounts: Mount[];
  /** There may be a sandbox to remove. */
  sandboxOpen: boolean;
  /** There may be a worktree to remove. */
  worktreeOpen: boolean;
  content: TextReference | null;
  /** Of a `loop` agent; null of another, and when its work is over. */
  loop: LoopState | null;
  /** The worktree holds what no checkpoint has. */
  unsaved: boolean;
  savedAtMs: number;
  /** What the agent said it did: the body of its commit. */
  summary: string | null;

  commit: string | null;
  filesChanged: number | null;
  /** Changed paths that need a person's approval: of the task's commit, and of what its merge changes on the target. */
  protectedPaths: string[];
  /** Those that a person has seen and approved. */
  approvedPaths: string[];

  merge: PreparedMerge | null;
  /** The exact merged tree that verify has passed on. */
  verifiedTree: string | null;
  verifications: number;
  /** Verifications that came to no verdict, one after the other. */
  verifyRetries: number;
  landingAttempts: number;
  /** Our turn at the target branch, while we hold it. */
  turn: string | null;
  landedCommit: string | null;
  finishCommand: string | null;
  rescue: string | null;

  usage: Usage;
  modelTurns: number;
  modelTurnsUnknown: number;
  /** Of an agent of kind `prompt`: the effects of those, whose answer may be stored after all. Missing in what earlier versions stored. */
  lostTurns?: string[];
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
  /** Tries of a step whose failure may pass, the first included. */
  stepTriesMax: 4,
  /** Model turns whose executor was lost, before the task gives up. */
  modelTurnsUnknownMax: 6,
  /** Times that a moved target starts the landing again. */
  landingAttemptsMax: 8,
  /** Between two checkpoints of a worktree. */
  checkpointIntervalMs: 10_000,
  logTailLinesMax: 40,
  logTailCharactersMax: 4_000,
  reasonCharactersMax: 500,
} as const;

/** What a task's sandbox may use. */
export const sandboxLimits: SandboxLimits = {
  memoryBytes: 2 * 1024 ** 3,
  cpus: 2,
  pids: 512,
  scratchBytes: 1024 ** 3,
};

/** The task's branch is `coppice/<task id>/<slug>`. */
export const slugCharactersMax = 30;

export function newTask(input: TaskInput, nowMs: number): TaskContext {
  return {
    ...input,
    state: 'waiting',
    createdAtMs: nowMs,
    enteredAtMs: nowMs,
    retries: 0,
    end: null,
    reason: null,
    failure: null,
    keepBranch: false,
    setup: null,
    node: null,
    branch: null,
    baseCommit: null,
    mounts: [],
    sandboxOpen: false,
    worktreeOpen: false,
    content: null,
    loop: input.specification.agent.kind === 'loop' ? newLoop() : null,
    unsaved: false,
    savedAtMs: 0,
    summary: null,
    commit: null,
    filesChanged: null,
    protectedPaths: [],
    approvedPaths: [],
    merge: null,
    verifiedTree: null,
    verifications: 0,
    verifyRetries: 0,
    landingAttempts: 0,
    turn: null,
    landedCommit: null,
    finishCommand: null,
    rescue: null,
    usage: noUsage,
    modelTurns: 0,
    modelTurnsUnknown: 0,
    logTail: null,
    logArtifact: null,
  };
}

/** What a failed turn has cost is told in its error; a failure that used nothing changes nothing, whether its price is known or not. */
export function withFailure(usage: Usage, { details }: WireError): Usage {
  const used = usageSchema.safeParse(details?.['usage']).data;
  return used === undefined || (used.inputTokens === 0 && used.outputTokens === 0) ? usage : addUsage(usage, used);
}
