import { z } from 'zod';
import { agentSchema } from './agents/registry.ts';
import type { Agent } from './agents/registry.ts';
import { durationMs, durationSchema } from './duration.ts';
import { tokenSchema } from './identifiers.ts';
import { repositoryPathSchema } from './repository-path.ts';
import { characters, line, text } from './text.ts';

/** Limits of a run. A larger run is rejected at submit, with the name of the limit. */
export const runLimits = {
  requestIdCharactersMax: 200,
  tasksMax: 500,
  dependenciesMax: 50,
  promptBytesMax: 64 * 1024,
  commandBytesMax: 8 * 1024,
  concurrencyMax: 64,
  timeMsMin: 1_000,
  timeMsMax: 24 * 3_600_000,
  /** Size of the whole request. It must fit into one message, whose limit is 1 MiB by default. */
  requestBytesMax: 900 * 1024,
} as const;

const limitTime = durationSchema.refine(
  (value) => {
    const time = durationMs(value);
    return time >= runLimits.timeMsMin && time <= runLimits.timeMsMax;
  },
  { message: 'a duration between 1s and 24h' },
);

/** A branch's short name. The worktree service checks git's own rules (git-check-ref-format). */
export const branchSchema = characters(200).regex(
  /^(?![-/.])(?!.*(\.\.|@\{|\/\/|\.lock(\/|$)|\/\.))[^\s~^:?*\x5b\\\x00-\x1f\x7f-\x9f]+(?<![./])$/,
  'a branch name',
);

export const networkSchema = z.enum(['none', 'full']);
export type Network = z.infer<typeof networkSchema>;

export const mergeModeSchema = z.enum(['auto', 'manual', 'branch']);
export const mergeMethodSchema = z.enum(['merge', 'squash']);

const command = text(runLimits.commandBytesMax);

/** `provider/model`, or an alias of the gateway, optionally with a preferred provider. */
const modelPattern = /^([a-z0-9-]+\/.+|[a-z][a-z0-9-]*(@[a-z][a-z0-9-]*)?)$/;

/** A model name. `refine` keeps the pattern out of the published schema, where a wider pattern would look like an incompatible one. */
export const modelNameSchema = line(255).refine((model) => modelPattern.test(model), 'provider/model, or an alias');

/** Limits of model use. A missing limit means unlimited. A model call that could exceed a limit isn't started. */
export const modelLimitsSchema = z.strictObject({
  tokens: z.int().min(1).max(1e12).optional().describe('Tokens of input and output, cached ones included.'),
  costUsd: z
    .number()
    .positive()
    .max(1e6)
    .optional()
    .describe("US dollars, by the gateway's prices; what has no known price costs nothing."),
});
export type ModelLimits = z.infer<typeof modelLimitsSchema>;

/** Fields of both `defaults` and a task. A task's own value wins, field by field. */
const commonShape = {
  image: line(255)
    .regex(/^[a-z0-9][a-zA-Z0-9._/:@-]*$/, 'an image reference')
    .optional()
    .describe('Image of the sandbox.'),
  model: modelNameSchema
    .optional()
    .describe('`provider/model`, or an alias of the gateway. Required, here or in the defaults.'),
  agent: agentSchema.optional().describe('What does the work. Required, here or in the defaults.'),
  setup: z
    .strictObject({
      run: command.describe('The command.'),
      inputs: z
        .array(repositoryPathSchema)
        .max(50)
        .default([])
        .describe('The files on whose content its result depends.'),
    })
    .optional()
    .describe('Runs on the base tree before the agent.'),
  network: z
    .strictObject({
      setup: networkSchema.optional().describe('While the setup runs.'),
      agent: networkSchema.optional().describe('While the agent works.'),
      verify: networkSchema.optional().describe('While the verify command runs.'),
    })
    .optional()
    .describe('What the sandbox reaches; `none` where nothing is said.'),
  commit: z
    .strictObject({
      type: line(20)
        .regex(/^[a-z]+$/, 'a conventional commit type such as feat or fix')
        .optional()
        .describe('`feat` where nothing is said.'),
      scope: line(40)
        .regex(/^[a-zA-Z0-9._/-]+$/, 'a conventional commit scope')
        .optional()
        .describe('What the change is about; none where nothing is said.'),
    })
    .optional()
    .describe('Of the conventional commit.'),
  protect: z
    .array(line(255))
    .max(100)
    .optional()
    .describe("Globs; a change to what they match waits for a person's approval."),
  limits: modelLimitsSchema
    .extend({ time: limitTime.optional().describe('1s to 24h, as 90s, 10m, 2h; 30m where nothing is said.') })
    .optional()
    .describe('What the task may use.'),
  verify: z
    .union([command, z.literal(false)], { error: 'a shell command, or false' })
    .optional()
    .describe('A shell command whose exit code 0 verifies the task. `false`: the task lands without a check.'),
  merge: mergeModeSchema
    .optional()
    .describe(
      "`auto`: lands when verified. `manual`: waits for task.merge. `branch`: the task's branch is pushed, for a pull request.",
    ),
  method: mergeMethodSchema.optional().describe('How it lands; `merge` where nothing is said.'),
};

export const taskDefaultsSchema = z.strictObject(commonShape);
export type TaskDefaults = z.infer<typeof taskDefaultsSchema>;

export const taskRequestSchema = z.strictObject({
  name: tokenSchema.describe('Unique in the run; `run/name` names the task on the command line.'),
  description: line(200).describe("One line; it becomes the commit's subject."),
  prompt: text(runLimits.promptBytesMax).describe('The text for the model.'),
  dependsOn: z
    .array(tokenSchema)
    .max(runLimits.dependenciesMax)
    .default([])
    .describe('Names of tasks of this run that must have landed first.'),
  ...commonShape,
});
export type TaskRequest = z.infer<typeof taskRequestSchema>;

const runShape = {
  /** A path or a URL. In a message a path is absolute, on the machine of the worktree service; in a run file it is relative to the file. */
  repository: line(2_000).describe(
    'A path or a URL. In a message a path is absolute, on the machine of the worktree service.',
  ),
  baseBranch: branchSchema.describe('Tasks start from it and land on it.'),
  concurrency: z.int().min(1).max(runLimits.concurrencyMax).default(4).describe('Tasks at work at once.'),
  limits: modelLimitsSchema.optional().describe('What all tasks together may use of models.'),
  defaults: taskDefaultsSchema.default({}).describe("For every task; a task's own value wins, field by field."),
  tasks: z.array(taskRequestSchema).min(1).max(runLimits.tasksMax).describe('In any order.'),
};

/** The content of a run file. */
export const runFileSchema = z.strictObject(runShape);
export type RunFile = z.infer<typeof runFileSchema>;

/** The payload of run.submit and of the durable intake. The same tenant and requestId always mean the same run. */
export const runRequestSchema = z.strictObject({
  requestId: line(runLimits.requestIdCharactersMax).describe(
    'Chosen by the sender. The same tenant and requestId are the same run, however often sent.',
  ),
  ...runShape,
});
export type RunRequest = z.infer<typeof runRequestSchema>;

/** A part of a command that decides whether the verification passes and that no protected file defines. */
export const unprotectedPartSchema = z.object({
  part: z.string().describe('The part, as the command has it.'),
  why: z.string().describe('Why no protected file defines it, and what to name under `protect`.'),
});
export type UnprotectedPart = z.infer<typeof unprotectedPartSchema>;

/** A task's request with the defaults of the run and of Coppice filled in. The orchestrator works from it. */
export type TaskSpecification = {
  name: string;
  description: string;
  prompt: string;
  dependsOn: string[];
  image: string;
  model: string;
  agent: Agent;
  setup: { run: string; inputs: string[] } | null;
  network: { setup: Network; agent: Network; verify: Network };
  commit: { type: string; scope: string | null };
  protect: string[];
  /** Parts of commands that decide whether the verification passes and that no protected file defines. Missing in tasks of earlier versions. */
  unprotected?: UnprotectedPart[];
  timeLimitMs: number;
  /** Limits of model use, for the task and for its whole run. Missing in tasks of earlier versions. */
  modelLimits?: { task: ModelLimits; run: ModelLimits };
  verify: string | false;
  merge: z.infer<typeof mergeModeSchema>;
  method: z.infer<typeof mergeMethodSchema>;
};
