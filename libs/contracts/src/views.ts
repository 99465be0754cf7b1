import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { modelLimitsSchema, unprotectedPartSchema } from './run-request.ts';
import { taskStateSchema } from './task-states.ts';

export const runStateSchema = z.enum(['running', 'succeeded', 'failed', 'cancelled']);
export type RunState = z.infer<typeof runStateSchema>;

export const usageSchema = z.object({
  inputTokens: z.int().nonnegative().describe('Input tokens, including cached ones.'),
  outputTokens: z.int().nonnegative().describe('Output tokens.'),
  costUsd: z.number().nonnegative().nullable().describe('Cost in US dollars; null if the price is unknown.'),
});
export type Usage = z.infer<typeof usageSchema>;

// The schema is open, so that this version accepts limits that a later version adds.
export const modelLimitsViewSchema = z.object(modelLimitsSchema.shape);

const runId = z.string().describe('The id of the run.');
const tenant = z.string().describe('Tenant that the run belongs to.');
const createdAt = z.string().describe('RFC 3339.');
const endedAt = z.string().nullable().describe('RFC 3339; null until the end.');

export const taskViewSchema = z.object({
  taskId: z.string().describe('The id of the task.'),
  runId,
  tenant,
  name: z.string().describe('Unique in the run.'),
  description: z.string().describe("Subject of the task's commit."),
  state: taskStateSchema.describe('State of the task.'),
  reason: z
    .string()
    .nullable()
    .describe(
      "The reason for this state, in one sentence. Always present for an end that isn't a success, and for a state that waits for you.",
    ),
  failure: wireErrorSchema
    .nullable()
    .describe(
      'The error. The field is not called `error`, since a top-level `error` in an answer marks a rejected request.',
    ),
  branch: z.string().nullable().describe('The branch of the task; null until it is prepared.'),
  commit: z.string().nullable().describe("The task's own commit."),
  landedCommit: z.string().nullable().describe('The commit that landed.'),
  finishCommand: z.string().nullable().describe('Command that finishes the landing, if you have to run it yourself.'),
  rescue: z
    .string()
    .nullable()
    .describe('The ref or folder that keeps the work if it did not land; null if there was nothing to keep.'),
  filesChanged: z.int().nonnegative().nullable().describe("Size of the commit's change; null until there is a commit."),
  // The schema is open, so that this version accepts kinds that a later version adds.
  agent: z
    .looseObject({ kind: z.string().describe('`prompt`, `loop`, or a kind of a later version.') })
    .optional()
    .describe('The agent of the request, with defaults.'),
  summary: z.string().nullable().optional().describe("The agent's summary of its work."),
  protectedPaths: z
    .array(z.string())
    .describe(
      'Changed paths that need approval. If there are more than 50, the last entry is the number of the others.',
    ),
  unprotected: z
    .array(unprotectedPartSchema)
    .optional()
    .describe('Parts of the verify command that no protected file defines. Absent for a task of an earlier version.'),
  usage: usageSchema.describe('Usage of all turns so far.'),
  modelLimits: z
    .object({
      task: modelLimitsViewSchema.describe("The task's limits."),
      run: modelLimitsViewSchema.describe('Limits of all tasks of the run together.'),
    })
    .optional()
    .describe('Limits of the model use from the run file. A missing one is unlimited.'),
  modelTurns: z.int().nonnegative().describe('Number of completed model turns.'),
  modelTurnsUnknown: z
    .int()
    .nonnegative()
    .describe('Number of model turns whose executor was lost. They were repeated, and may have been paid twice.'),
  logTail: z.string().nullable().describe('The last lines of the output of the failed command.'),
  logArtifact: z
    .string()
    .nullable()
    .describe('Name of the complete output, for `artifact.get`; null if there is none.'),
  createdAt,
  updatedAt: z.string().describe('RFC 3339.'),
  endedAt,
});
export type TaskView = z.infer<typeof taskViewSchema>;

export const taskSummarySchema = taskViewSchema.pick({ taskId: true, name: true, state: true, reason: true });
export type TaskSummary = z.infer<typeof taskSummarySchema>;

export const runViewSchema = z.object({
  runId,
  tenant,
  requestId: z.string().describe('The `requestId` of the request.'),
  repository: z.string().describe('Path or URL of the repository.'),
  baseBranch: z.string().describe('Branch that the tasks start from and land on.'),
  state: runStateSchema.describe('`running`, or the outcome of the run.'),
  concurrency: z.int().describe('Maximum number of tasks that work at the same time.'),
  modelLimits: modelLimitsViewSchema
    .optional()
    .describe(
      'Limits of the model use of all tasks together, from the run file. Absent in a run of an earlier version.',
    ),
  usage: usageSchema
    .optional()
    .describe('Usage of all tasks together so far. Absent if a task is of an earlier version.'),
  tasks: z.array(taskSummarySchema).describe('The tasks, in the order of the request.'),
  createdAt,
  endedAt,
});
export type RunView = z.infer<typeof runViewSchema>;
export const runSummarySchema = runViewSchema
  .omit({ tasks: true, usage: true })
  .extend({ taskCounts: z.record(z.string(), z.int()).describe('Number of tasks per state.') });
export type RunSummary = z.infer<typeof runSummarySchema>;
