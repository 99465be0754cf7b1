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
  /** Maximum size of all files outside the workspace together. */
  scratchBytes: z.int().positive(),
});
export type SandboxLimits = z.infer<typeof sandboxLimitsSchema>;

export const sandboxSpecificationSchema = z.object({
  owner: ownerSchema,
  /** A stable id, so that a repeated `create` finds the existing sandbox. */
  sandboxId: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,250}$/),
  image: z.string(),
  mounts: z.array(mountSchema),
  network: networkSchema,
  limits: sandboxLimitsSchema,
  environment: z.record(z.string(), z.string()),
});
export type SandboxSpecification = z.infer<typeof sandboxSpecificationSchema>;

export const commandSchema = z.object({
  /** The command, which `sh -c` runs in /workspace. */
  shell: z.string(),
  timeLimitMs: z.int().positive(),
  standardInput: textReferenceSchema.optional(),
});

export const commandResultSchema = z.object({
  /** Null if a signal ended the command. */
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  timedOut: z.boolean(),
  outOfMemory: z.boolean(),
  /**
   * The start and the end of the output, at most 32 KiB for each stream. A line between them says how much is left out.
   */
  standardOutput: z.string(),
  standardError: z.string(),
  /**
   * Name of the whole output in `coppice-artifacts`. The size of this output is limited too. Null if the two texts
   * above are complete.
   */
  logArtifact: z.string().nullable(),
  durationMs: z.int().nonnegative(),
});
export type CommandResult = z.infer<typeof commandResultSchema>;

/** The result of a tool call, as the model sees it. */
export const toolResultSchema = z.object({
  callId: z.string(),
  name: z.string(),
  /**
   * The result. If it exceeds the limits of tools.ts, its middle part is left out, and `logArtifact` names the whole
   * result.
   */
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
  /** Writes a file in the workspace, from inside the sandbox and with the rights of its user. */
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
   * Runs one command in a fresh sandbox and removes the sandbox. If the executor is lost, its changes to the mounts
   * remain. So the caller prepares fresh mounts before it sends the command again.
   */
  run: operation({
    service,
    name: 'run',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 24 * hour,
    input: z.object({ specification: sandboxSpecificationSchema, command: commandSchema }),
    output: commandResultSchema,
  }),
  /** Runs all tool calls of one turn in one command. Every call has a result, even if the call fails. */
  tools: operation({
    service,
    name: 'tools',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 2 * hour,
    input: z.object({
      owner: ownerSchema,
      sandboxId: z.string(),
      calls: z.array(toolCallSchema).min(1).max(64),
      /** Maximum length of one result, smaller for a model with a small context. */
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
  sandboxId: z.string().describe('Sandbox in which the command ran.'),
  stream: z.enum(['stdout', 'stderr']).describe('Stream that the text was printed to.'),
  text: z.string().describe('The printed text.'),
  time: z.string().describe('RFC 3339.'),
});
export type LogChunk = z.infer<typeof logChunkSchema>;

/** Retention of live output, as a number of log chunks for each task and a number of days. */
export const outputKept = { piecesMax: 20_000, days: 7 } as const;
