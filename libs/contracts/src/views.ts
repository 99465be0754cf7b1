import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { agentSchema } from './run-request.ts';

/** The life of a task, in order; the last eight are ends. */
export const taskStates = [
  'waiting',
  'preparing',
  'working',
  'committing',
  'verifying',
  'awaiting-approval',
  'ready',
  'landing',
  'cleaning',
  'merged',
  'landed-pending',
  'branch-pushed',
  'no-changes',
  'failed',
  'timed-out',
  'cancelled',
  'discarded',
] as const;
export const taskStateSchema = z.enum(taskStates);
export type TaskState = z.infer<typeof taskStateSchema>;

export const taskEnds = [
  'merged',
  'landed-pending',
  'branch-pushed',
  'no-changes',
  'failed',
  'timed-out',
  'cancelled',
  'discarded',
] as const satisfies TaskState[];
export type TaskEnd = (typeof taskEnds)[number];
/** Ends on which a task that depends on this one may build. */
export const taskSuccesses: readonly TaskState[] = ['merged', 'landed-pending', 'no-changes'];

export const runStateSchema = z.enum(['running', 'succeeded', 'failed', 'cancelled']);
export type RunState = z.infer<typeof runStateSchema>;

export const usageSchema = z.object({
  /** Cached ones included. */
  inputTokens: z.int().nonnegative(),
  outputTokens: z.int().nonnegative(),
  /** US dollars; null where the price isn't known. */
  costUsd: z.number().nonnegative().nullable(),
});
export type Usage = z.infer<typeof usageSchema>;

export const taskViewSchema = z.object({
  taskId: z.string(),
  runId: z.string(),
  tenant: z.string(),
  name: z.string(),
  description: z.string(),
  state: taskStateSchema,
  /** Why it is in this state, in one sentence: always there for an end that isn't a success, and where a person is waited for. */
  reason: z.string().nullable(),
  /** Not `error`: at the top of an answer that name marks a refusal. */
  failure: wireErrorSchema.nullable(),
  branch: z.string().nullable(),
  /** The task's own commit. */
  commit: z.string().nullable(),
  /** The commit that landed. */
  landedCommit: z.string().nullable(),
  /** What to type where a person has to finish the landing. */
  finishCommand: z.string().nullable(),
  /** The ref (or folder) under which work that did not land is kept; null where nothing would have been lost. */
  rescue: z.string().nullable(),
  filesChanged: z.int().nonnegative().nullable(),
  agent: agentSchema.optional(),
  /** What the agent says it did. */
  summary: z.string().nullable().optional(),
  /** Changed paths that need approval. */
  protectedPaths: z.array(z.string()),
  usage: usageSchema,
  modelTurns: z.int().nonnegative(),
  /** Model turns whose executor was lost: asked again, perhaps paid twice. */
  modelTurnsUnknown: z.int().nonnegative(),
  /** The last lines of what the failed command printed. */
  logTail: z.string().nullable(),
  /** Name in the object store of the full log. */
  logArtifact: z.string().nullable(),
  /** RFC 3339. */
  createdAt: z.string(),
  updatedAt: z.string(),
  endedAt: z.string().nullable(),
});
export type TaskView = z.infer<typeof taskViewSchema>;

export const taskSummarySchema = taskViewSchema.pick({ taskId: true, name: true, state: true, reason: true });
export type TaskSummary = z.infer<typeof taskSummarySchema>;

export const runViewSchema = z.object({
  runId: z.string(),
  tenant: z.string(),
  requestId: z.string(),
  repository: z.string(),
  baseBranch: z.string(),
  state: runStateSchema,
  concurrency: z.int(),
  tasks: z.array(taskSummarySchema),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
});
export type RunView = z.infer<typeof runViewSchema>;
export const runSummarySchema = runViewSchema
  .omit({ tasks: true })
  .extend({ taskCounts: z.record(z.string(), z.int()) });
export type RunSummary = z.infer<typeof runSummarySchema>;
