import { z } from 'zod';
import { workKindSchema } from './task-work.ts';
import { artifactNameSchema, artifactPartBytesMax } from './artifacts.ts';
import { runIdSchema, taskIdSchema } from './identifiers.ts';
import { runRequestSchema, unprotectedPartSchema } from './run-request.ts';
import { characters } from './text.ts';
import { runSummarySchema, runViewSchema, taskViewSchema } from './views.ts';

/**
 * A request/reply method of the public API (`coppice.api.<tenant>.<name>`) or of a service
 * (`coppice.call.<service>.<name>`).
 */
export type Method<Input extends z.ZodType = z.ZodType, Output extends z.ZodType = z.ZodType> = {
  /** `<noun>.<verb>` for the public API, one token between services. */
  name: string;
  description: string;
  input: Input;
  output: Output;
  /** Time for which a caller waits for the answer. */
  deadlineMs: number;
};

const method = <Input extends z.ZodType, Output extends z.ZodType>(
  name: string,
  description: string,
  input: Input,
  output: Output,
  deadlineMs = 10_000,
): Method<Input, Output> => ({ name, description, input, output, deadlineMs });

const listLimit = z.int().min(1).max(500).default(100).describe('Maximum number of items in the answer.');
const more = z.boolean().describe('True if there are more items than the answer contains.');
const taskTarget = z.strictObject({ taskId: taskIdSchema });
const reason = characters(500).optional().describe('The reason, shown with the task.');

/** The public API. A request with an unknown field is rejected. */
export const api = {
  runSubmit: method(
    'run.submit',
    'Start a run. If the tenant sends the same requestId again, the answer names the same run.',
    runRequestSchema,
    z.object({
      runId: runViewSchema.shape.runId,
      created: z.boolean().describe('False if the run already existed.'),
      tasks: z
        .array(taskViewSchema.pick({ name: true, taskId: true }))
        .describe('Ids of the tasks, in the order of the request.'),
      unprotected: z
        .array(unprotectedPartSchema)
        .optional()
        .describe('Parts of the verify commands that no protected file defines. At most 20, without repeats.'),
    }),
    30_000,
  ),
  runGet: method('run.get', 'One run with its tasks.', z.strictObject({ runId: runIdSchema }), runViewSchema),
  runList: method(
    'run.list',
    'Runs of the tenant, newest first.',
    z.strictObject({ limit: listLimit }),
    z.object({ runs: z.array(runSummarySchema).describe('Newest first.'), more }),
  ),
  runCancel: method(
    'run.cancel',
    'Cancel every task of a run that has not ended.',
    z.strictObject({ runId: runIdSchema, reason }),
    runViewSchema.pick({ runId: true }),
  ),
  taskGet: method('task.get', 'One task.', taskTarget, taskViewSchema),
  taskList: method(
    'task.list',
    'Tasks of the tenant, or of one run.',
    z.strictObject({ runId: runIdSchema.optional().describe('Only tasks of this run.'), limit: listLimit }),
    z.object({
      tasks: z
        .array(taskViewSchema)
        .describe("A tenant's tasks: newest first. A run's tasks: in the order of the run."),
      more,
    }),
  ),
  taskCancel: method(
    'task.cancel',
    'Stop a task. Its work so far is kept on a rescue ref.',
    taskTarget.extend({ reason }),
    taskViewSchema,
  ),
  taskApprove: method('task.approve', 'Allow a change that waits for approval.', taskTarget, taskViewSchema),
  taskReject: method(
    'task.reject',
    'Refuse a change that waits for approval; the task ends as discarded.',
    taskTarget.extend({ reason }),
    taskViewSchema,
  ),
  taskMerge: method('task.merge', 'Land a task that is ready (merge: manual).', taskTarget, taskViewSchema),
  taskDiscard: method(
    'task.discard',
    'Give up a task that is ready or waits for approval.',
    taskTarget.extend({ keepBranch: z.boolean().default(false).describe("True to keep the task's branch."), reason }),
    taskViewSchema,
  ),
  taskDiff: method(
    'task.diff',
    "The task's change as a unified patch, at most the first 512 KiB.",
    taskTarget,
    z.object({
      patch: z.string().describe('The diff as printed by git.'),
      truncated: z.boolean().describe('True if the diff is longer than the answer.'),
      commit: z.string().describe("The task's own commit."),
      baseCommit: z.string().describe('The commit that it is compared with.'),
    }),
    30_000,
  ),
  taskBundle: method(
    'task.bundle',
    "The name of a git bundle with the task's work, at most 32 MiB. Read it with `artifact.get` and pass it to `git fetch`.",
    taskTarget.extend({
      whole: z
        .boolean()
        .default(false)
        .describe('True to include the whole history, for a repository that lacks the base commit.'),
    }),
    z.object({
      bundle: z.string().describe('Name of the bundle, for `artifact.get`.'),
      ref: z.string().describe('The only ref in the bundle.'),
      commit: z.string().describe('The commit that the ref points to.'),
      baseCommit: z.string().describe('The commit that the repository must have, unless the bundle is complete.'),
      work: workKindSchema.describe(
        "Content of the bundle. `rescued`: the kept work of a task that ended without landing. `branch`: the task's commit. `landed`: the task's commit, which has landed. `checkpoint`: the agent's last saved work.",
      ),
    }),
    60_000,
  ),
  artifactGet: method(
    'artifact.get',
    'A part of a large text or log that a message names. The same name always has the same content.',
    z.strictObject({
      name: artifactNameSchema.describe("Name from a transcript's `artifact` or a task's `logArtifact`."),
      offset: z.int().min(0).default(0).describe('Offset of the first byte.'),
      length: z
        .int()
        .min(1)
        .max(artifactPartBytesMax)
        .default(artifactPartBytesMax)
        .describe('Maximum number of bytes in the answer.'),
    }),
    z.object({
      data: z
        .string()
        .describe(
          'The bytes from the offset, in base64. A log may contain any bytes, and the answer may end within a character.',
        ),
      nextOffset: z.int().min(1).nullable().describe('Offset of the next part; null at the end.'),
      totalBytes: z.int().min(0).describe('Size of the whole artifact.'),
      sha256: z.string().describe('SHA-256 of the whole artifact, in lower-case hexadecimal.'),
    }),
  ),
} as const;
export type Api = typeof api;
