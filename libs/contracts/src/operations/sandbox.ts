import { z } from 'zod';
import { networkSchema } from '../run-request.ts';
import { toolLimits } from '../tools.ts';
import { operation, ownerSchema, textReferenceSchema } from './operation.ts';
import { toolCallSchema } from '../model-messages.ts';
import { mountSchema } from './worktree.ts';

export const sandboxLimitsSchema = z.object({
  memoryBytes: z.int().positive(),
  /** Processors, e.g. 1.5. */
  cpus: z.number().positive(),
  pids: z.int().positive(),
  /** Of everything written outside the workspace. */
  scratchBytes: z.int().positive(),
});
export type SandboxLimits = z.infer<typeof sandboxLimitsSchema>;

export const sandboxSpecificationSchema = z.object({
  owner: ownerSchema,
  /** Stable: a repeated create finds the first. */
  sandboxId: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,250}$/),
  image: z.string(),
  mounts: z.array(mountSchema),
  network: networkSchema,
  limits: sandboxLimitsSchema,
  environment: z.record(z.string(), z.string()),
});
export type SandboxSpecification = z.infer<typeof sandboxSpecificationSchema>;

export const commandSchema = z.object({
  /** Run by `sh -c` in /workspace. */
  shell: z.string(),
  timeLimitMs: z.int().positive(),
  standardInput: textReferenceSchema.optional(),
});

export const commandResultSchema = z.object({
  /** Null where a signal ended it. */
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  timedOut: z.boolean(),
  outOfMemory: z.boolean(),
  /** First and last parts, at most 32 KiB each stream, with a line in between that tells how much is left out. */
  standardOutput: z.string(),
  standardError: z.string(),
  /** Everything that was printed (bounded), in `coppice-artifacts`; null where the two texts above are whole. */
  logArtifact: z.string().nullable(),
  durationMs: z.int().nonnegative(),
});
export type CommandResult = z.infer<typeof commandResultSchema>;

/** What a tool call came to, as the model is told. */
export const toolResultSchema = z.object({
  callId: z.string(),
  name: z.string(),
  /** What is over the limits of tools.ts is left out of its middle; then `logArtifact` has all of it. */
  content: textReferenceSchema,
  isError: z.boolean(),
  logArtifact: z.string().nullable(),
  durationMs: z.int().nonnegative(),
});
export type ToolResult = z.infer<typeof toolResultSchema>;

const service = 'container-service';
const minute = 60_000;
const hour = 60 * minute;

export const sandboxOperations = {
  create: operation({
    service,
    name: 'create',
    repeat: { kind: 'idempotent' },
    timeLimitMs: 15 * minute,
    input: sandboxSpecificationSchema,
    output: z.object({ sandboxId: z.string(), engine: z.string(), node: z.string() }),
  }),
  /** Write a file in the workspace from inside the sandbox, as its user. */
  write: operation({
    service,
    name: 'write',
    repeat: { kind: 'idempotent' },
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, sandboxId: z.string(), path: z.string(), content: textReferenceSchema }),
    output: z.object({ bytes: z.int() }),
  }),
  exec: operation({
    service,
    name: 'exec',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 24 * hour,
    input: z.object({ owner: ownerSchema, sandboxId: z.string(), command: commandSchema }),
    output: commandResultSchema,
  }),
  /**
   * One command in a fresh sandbox of its own, removed afterwards. What it did to its mounts before its owner was lost is there, so whoever
   * ordered it prepares fresh ones before it orders it anew.
   */
  run: operation({
    service,
    name: 'run',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 24 * hour,
    input: z.object({ specification: sandboxSpecificationSchema, command: commandSchema }),
    output: commandResultSchema,
  }),
  /** Tool calls of one model turn, all at once; each has a result, whatever it is. */
  tools: operation({
    service,
    name: 'tools',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 2 * hour,
    input: z.object({
      owner: ownerSchema,
      sandboxId: z.string(),
      calls: z.array(toolCallSchema).min(1).max(64),
      /** Of one result: less for a model that can't hold much. */
      resultCharactersMax: z
        .int()
        .min(toolLimits.resultCharactersMin)
        .max(toolLimits.resultCharactersMax)
        .default(toolLimits.resultCharactersMax),
    }),
    output: z.object({ results: z.array(toolResultSchema) }),
  }),
  remove: operation({
    service,
    name: 'remove',
    repeat: { kind: 'idempotent' },
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, sandboxId: z.string() }),
    output: z.object({}),
  }),
} as const;

/** Live output of a command, on `coppice.log.<tenant>.<taskId>`. */
export const logChunkSchema = z.object({
  sandboxId: z.string().describe('Where the command ran.'),
  stream: z.enum(['stdout', 'stderr']).describe('Where it was printed.'),
  text: z.string().describe('What was printed.'),
  time: z.string().describe('RFC 3339.'),
});
export type LogChunk = z.infer<typeof logChunkSchema>;

/** How much of it is kept: so many pieces a task, so long. */
export const outputKept = { piecesMax: 20_000, days: 7 } as const;
