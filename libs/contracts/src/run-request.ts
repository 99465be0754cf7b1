import { z } from 'zod';
import { agentSchema } from './agents/registry.ts';
import type { Agent } from './agents/registry.ts';
import { durationMs, durationSchema } from './duration.ts';
import { tokenSchema } from './identifiers.ts';
import { repositoryPathSchema } from './repository-path.ts';
import { characters, line, text } from './text.ts';

/** Limits of a run. A run over a limit is rejected with the name of the limit. */
export const runLimits = {
  requestIdCharactersMax: 200,
  tasksMax: 500,
  dependenciesMax: 50,
  promptBytesMax: 64 * 1024,
  commandBytesMax: 8 * 1024,
  concurrencyMax: 64,
  timeMsMin: 1_000,
  timeMsMax: 24 * 3_600_000,
  /** Maximum size of the whole request. It must fit into one message, whose limit is 1 MiB by default. */
  requestBytesMax: 900 * 1024,
} as const;

const limitTime = durationSchema.refine(
  (value) => {
    const time = durationMs(value);
    return time >= runLimits.timeMsMin && time <= runLimits.timeMsMax;
  },
  { message: 'a duration between 1s and 24h' },
);

/** A branch's short name. The worktree service also checks git's own rules (git-check-ref-format). */
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

/**
 * A model name. `refine` keeps the pattern out of the published schema. A later, wider pattern would look like an
 * incompatible change there.
 */
export const modelNameSchema = line(255).refine((model) => modelPattern.test(model), 'provider/model, or an alias');

/** Limits of model use. A missing limit means unlimited. A model call that could exceed a limit isn't started. */
export const modelLimitsSchema = z.strictObject({
  tokens: z
    .int()
    .min(1)
    .max(1e12)
    .optional()
    .describe('Maximum number of input and output tokens, including cached ones.'),
  costUsd: z
    .number()
    .positive()
    .max(1e6)
    .optional()
    .describe("Maximum cost in US dollars, by the gateway's prices. A call without a known price is refused."),
});
export type ModelLimits = z.infer<typeof modelLimitsSchema>;

/** Fields of both `defaults` and a task. The task's value of a field takes precedence. */
const commonShape = {
  image: line(255)
    .regex(/^[a-z0-9][a-zA-Z0-9._/:@-]*$/, 'an image reference')
    .optional()
    .describe('Image of the sandbox.'),
  model: modelNameSchema
    .optional()
    .describe('`provider/model`, or an alias of the gateway. Required here or in the defaults.'),
  agent: agentSchema.optional().describe('The agent that does the work. Required here or in the defaults.'),
  setup: z
    .strictObject({
      run: command.describe('The command.'),
      inputs: z.array(repositoryPathSchema).max(50).default([]).describe('Files whose content determines the result.'),
    })
    .optional()
    .describe('Runs on the base tree before the agent.'),
  network: z
    .strictObject({
      setup: networkSchema.optional().describe('Network access during the setup.'),
      agent: networkSchema.optional().describe("Network access during the agent's work."),
      verify: networkSchema.optional().describe('Network access of the verify command.'),
    })
    .optional()
    .describe('Network access of the sandbox. Default: `none`.'),
  commit: z
    .strictObject({
      type: line(20)
        .regex(/^[a-z]+$/, 'a conventional commit type such as feat or fix')
        .optional()
        .describe('Type of the commit. Default: `feat`.'),
      scope: line(40)
        .regex(/^[a-zA-Z0-9._/-]+$/, 'a conventional commit scope')
        .optional()
        .describe('Scope of the commit. Default: none.'),
    })
    .optional()
    .describe('Type and scope of the conventional commit.'),
  protect: z
    .array(line(255))
    .max(100)
    .optional()
    .describe('Globs of protected paths. A change to such a path waits for your approval.'),
  limits: modelLimitsSchema
    .extend({ time: limitTime.optional().describe('Time limit from 1s to 24h, such as 90s, 10m or 2h. Default: 30m.') })
    .optional()
    .describe('Limits of the task.'),
  verify: z
    .union([command, z.literal(false)], { error: 'a shell command, or false' })
    .optional()
    .describe('A shell command whose exit code 0 verifies the task. `false`: the task lands without a check.'),
  merge: mergeModeSchema
    .optional()
    .describe(
      "`auto`: lands when verified. `manual`: waits for task.merge. `branch`: the task's branch is pushed, for a pull request.",
    ),
  method: mergeMethodSchema.optional().describe('Form of the landing. Default: `merge`.'),
};

export const taskDefaultsSchema = z.strictObject(commonShape);
export type TaskDefaults = z.infer<typeof taskDefaultsSchema>;

export const taskRequestSchema = z.strictObject({
  name: tokenSchema.describe('Unique in the run; `run/name` names the task on the command line.'),
  description: line(200).describe("One line. It becomes the commit's subject."),
  prompt: text(runLimits.promptBytesMax).describe('The text for the model.'),
  dependsOn: z
    .array(tokenSchema)
    .max(runLimits.dependenciesMax)
    .default([])
    .describe('Names of tasks of this run that must land before this task starts.'),
  ...commonShape,
});
export type TaskRequest = z.infer<typeof taskRequestSchema>;

const runShape = {
  /**
   * A path or a URL. In a message, a path is absolute, on the machine of the worktree service. In a run file, it is
   * relative to the file.
   */
  repository: line(2_000).describe(
    'A path or a URL. In a message a path must be absolute, on the machine of the worktree service.',
  ),
  baseBranch: branchSchema.describe('Branch that the tasks start from and land on.'),
  concurrency: z
    .int()
    .min(1)
    .max(runLimits.concurrencyMax)
    .default(4)
    .describe('Maximum number of tasks that work at the same time.'),
  limits: modelLimitsSchema.optional().describe('Limits of the model use of all tasks together.'),
  defaults: taskDefaultsSchema
    .default({})
    .describe("Defaults for every task. For each field, a task's own value takes precedence."),
  tasks: z.array(taskRequestSchema).min(1).max(runLimits.tasksMax).describe('The tasks, in any order.'),
};

export const runFileSchema = z.strictObject(runShape);
export type RunFile = z.infer<typeof runFileSchema>;

/** The payload of run.submit and of the durable intake. The same tenant and requestId always mean the same run. */
export const runRequestSchema = z.strictObject({
  requestId: line(runLimits.requestIdCharactersMax).describe(
    'Chosen by the sender. Requests with the same tenant and requestId are the same run, so a request may be sent again.',
  ),
  ...runShape,
});
export type RunRequest = z.infer<typeof runRequestSchema>;

/**
 * A part of a verify or setup command that no protected file defines, although it affects whether the verification
 * passes.
 */
export const unprotectedPartSchema = z.object({
  part: z.string().describe('The part, as written in the command.'),
  why: z.string().describe('The reason why no protected file defines it, and the entry that `protect` needs.'),
});
export type UnprotectedPart = z.infer<typeof unprotectedPartSchema>;

/** A task's request, completed with the defaults of the run and of Coppice. */
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
  /** Missing in tasks of earlier versions. */
  unprotected?: UnprotectedPart[];
  timeLimitMs: number;
  /** Limits of model use for the task and for its whole run. Missing in tasks of earlier versions. */
  modelLimits?: { task: ModelLimits; run: ModelLimits };
  verify: string | false;
  merge: z.infer<typeof mergeModeSchema>;
  method: z.infer<typeof mergeMethodSchema>;
};
