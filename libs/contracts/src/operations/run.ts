import { z } from 'zod';
import { operation } from './operation.ts';

const service = 'orchestrator';
const idempotent = { kind: 'idempotent' } as const;
const minute = 60_000;

/** Operations of the orchestrator for its own run actors. They do work that is too large for one actor's value. */
export const runOperations = {
  /** Creates every task of a run from the stored specifications. */
  createTasks: operation({
    service,
    name: 'create-tasks',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ tenant: z.string(), runId: z.string(), specificationArtifact: z.string() }),
    output: z.object({ tasks: z.int() }),
  }),
  cancelTasks: operation({
    service,
    name: 'cancel-tasks',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ tenant: z.string(), runId: z.string(), specificationArtifact: z.string(), reason: z.string() }),
    output: z.object({ tasks: z.int() }),
  }),
} as const;
