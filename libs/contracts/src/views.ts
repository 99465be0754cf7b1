import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { modelLimitsSchema, unprotectedPartSchema } from './run-request.ts';
import { taskStateSchema } from './task-states.ts';

export const runStateSchema = z.enum(['running', 'succeeded', 'failed', 'cancelled']);
export type RunState = z.infer<typeof runStateSchema>;

export const usageSchema = z.object({
  inputTokens: z.int().nonnegative().describe('Cached ones included.'),
  outputTokens: z.int().nonnegative().describe('What the model wrote.'),
  costUsd: z.number().nonnegative().nullable().describe("US dollars; null where the price isn't known."),
});
export type Usage = z.infer<typeof usageSchema>;

// Open, so that this version accepts limits that a later one adds.
export const modelLimitsViewSchema = z.object(modelLimitsSchema.shape);

const runId = z.string().describe('The id of the run.');
const tenant = z.string().describe('Whose it is.');
const createdAt = z.string().describe('RFC 3339.');
const endedAt = z.string().nullable().describe('RFC 3339; null until it has ended.');

export const taskViewSchema = z.object({
  taskId: z.string().describe('The id of the task.'),
  runId,
  tenant,
  name: z.string().describe('Unique in the run.'),
  description: z.string().describe("The commit's subject."),
  state: taskStateSchema.describe('Where the task is in its life.'),
  reason: z
    .string()
    .nullable()
    .describe(
      "Why it is in this state, in one sentence: always there for an end that isn't a success, and where a person is waited for.",
    ),
  failure: wireErrorSchema.nullable().describe('Not `error`: at the top of an answer that name marks a refusal.'),
  branch: z.string().nullable().describe('The branch of the task; null until it is prepared.'),
  commit: z.string().nullable().describe("The task's own commit."),
  landedCommit: z.string().nullable().describe('The commit that landed.'),
  finishCommand: z.string().nullable().describe('What to type where a person has to finish the landing.'),
  rescue: z
    .string()
    .nullable()
    .describe(
      'The ref (or folder) under which work that did not land is kept; null where nothing would have been lost.',
    ),
  filesChanged: z.int().nonnegative().nullable().describe('By the commit; null until there is one.'),
  // Open, so that this version accepts kinds that a later one adds.
  agent: z
    .looseObject({ kind: z.string().describe('`prompt`, `loop`, or one of a later version.') })
    .optional()
    .describe('The agent of the request, defaults filled in.'),
  summary: z.string().nullable().optional().describe('What the agent says it did.'),
  protectedPaths: z
    .array(z.string())
    .describe('Changed paths that need approval. Of more than 50, the last entry says how many more.'),
  unprotected: z
    .array(unprotectedPartSchema)
    .optional()
    .describe('Parts of the verify command that no protected file defines; left out for a task of an earlier version.'),
  usage: usageSchema.describe('Of all turns so far.'),
  modelLimits: z
    .object({
      task: modelLimitsViewSchema.describe('The task.'),
      run: modelLimitsViewSchema.describe('All tasks of its run together.'),
    })
    .optional()
    .describe('What the run file lets models use; a missing one is unlimited.'),
  modelTurns: z.int().nonnegative().describe('Turns that a model has taken.'),
  modelTurnsUnknown: z
    .int()
    .nonnegative()
    .describe('Model turns whose executor was lost: repeated, perhaps paid twice.'),
  logTail: z.string().nullable().describe('The last lines of what the failed command printed.'),
  logArtifact: z
    .string()
    .nullable()
    .describe('Name of all that it printed, for `artifact.get`; null where that is no more.'),
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
  requestId: z.string().describe('As the request has it.'),
  repository: z.string().describe('Its path or URL.'),
  baseBranch: z.string().describe('Tasks start from it and land on it.'),
  state: runStateSchema.describe('Running, or how it ended.'),
  concurrency: z.int().describe('Tasks at work at once.'),
  modelLimits: modelLimitsViewSchema
    .optional()
    .describe('Limits of the run file for the model use of all tasks together; absent in a run of an earlier version.'),
  usage: usageSchema
    .optional()
    .describe('Of all its tasks together, so far; absent if one of them is of an earlier version.'),
  tasks: z.array(taskSummarySchema).describe('In the order of the request.'),
  createdAt,
  endedAt,
});
export type RunView = z.infer<typeof runViewSchema>;
export const runSummarySchema = runViewSchema
  .omit({ tasks: true, usage: true })
  .extend({ taskCounts: z.record(z.string(), z.int()).describe('How many tasks are in each state.') });
export type RunSummary = z.infer<typeof runSummarySchema>;
