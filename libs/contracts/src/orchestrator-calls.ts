import { z } from 'zod';
import type { Method } from './api.ts';
import { runIdSchema, taskIdSchema, tenantSchema } from './identifiers.ts';
import { modelLimitsViewSchema } from './views.ts';

const progress = {
  /** Used only in messages to people. Decisions depend on `hasEnded`, since a later version may have states that this one doesn't know. */
  state: z.string(),
  hasEnded: z.boolean(),
};

/**
 * Read-only calls to the orchestrator, `coppice.call.orchestrator.<name>`. A missing task or run is an answer (null), not an error, so that a failed call can't
 * be mistaken for a missing task or run.
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
          /** Limits of the task and of its run; null for a task that an earlier version began. */
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
          /** Null for a run that an earlier version began. */
          modelLimits: modelLimitsViewSchema.nullable(),
        })
        .nullable(),
    }),
    deadlineMs: 10_000,
  },
} as const satisfies Record<string, Method>;
