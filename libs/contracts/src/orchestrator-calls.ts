import { z } from 'zod';
import type { Method } from './api.ts';
import { runIdSchema, taskIdSchema, tenantSchema } from './identifiers.ts';
import { modelLimitsViewSchema } from './views.ts';

const progress = {
  /**
   * Only for messages to people. Decisions use `hasEnded`, since a later version may have states that this version
   * doesn't know.
   */
  state: z.string(),
  hasEnded: z.boolean(),
};

/**
 * Read-only calls to the orchestrator, `coppice.call.orchestrator.<name>`. If a task or run is missing, the answer is
 * null and not an error. So a failed call isn't mistaken for a missing task or run.
 */
export const orchestratorCalls = {
  taskStatus: {
    name: 'task-status',
    description: 'Whether a task exists and has ended, its run, and its model limits.',
    input: z.object({ tenant: tenantSchema, taskId: taskIdSchema }),
    output: z.object({
      task: z
        .object({
          runId: z.string(),
          ...progress,
          /** Limits of the task and of its run. Null for a task of an earlier version. */
          modelLimits: z.object({ task: modelLimitsViewSchema, run: modelLimitsViewSchema }).nullable(),
        })
        .nullable(),
    }),
    deadlineMs: 10_000,
  },
  runStatus: {
    name: 'run-status',
    description: 'Whether a run exists and has ended, and its model limits.',
    input: z.object({ tenant: tenantSchema, runId: runIdSchema }),
    output: z.object({
      run: z
        .object({
          ...progress,
          /** Null for a run of an earlier version. */
          modelLimits: modelLimitsViewSchema.nullable(),
        })
        .nullable(),
    }),
    deadlineMs: 10_000,
  },
} as const satisfies Record<string, Method>;
