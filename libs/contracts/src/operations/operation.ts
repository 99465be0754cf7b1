import { z } from 'zod';
import { replyToSchema } from '../actor-messages.ts';
import { effectIdSchema } from '../identifiers.ts';
import type { ServiceName } from '../services.ts';

/**
 * What an executor does with a command that a lost executor has started.
 * `rerun`: run it again from the start. `unknown`: answer with the error code `unknown`; the actor decides.
 */
export type LostOwnerPolicy = 'rerun' | 'unknown';

/**
 * Handling of a command that is delivered twice, possibly at the same time.
 * `idempotent`: running it twice is harmless. `claimed`: the executor first takes a claim in KV `coppice-effects`.
 */
export type Repeat = { kind: 'idempotent' } | { kind: 'claimed'; lostOwner: LostOwnerPolicy };

/** An operation that a service runs for an actor. The command comes from the command stream, the result goes to the actor's inbox. */
export type Operation<Input extends z.ZodType = z.ZodType, Output extends z.ZodType = z.ZodType> = {
  service: ServiceName;
  /** One token; unique within the service. */
  name: string;
  input: Input;
  output: Output;
  repeat: Repeat;
  /** Milliseconds after which the executor stops and answers `deadline-exceeded`. The input may set a shorter time. */
  timeLimitMs: number;
};

export const operation = <Input extends z.ZodType, Output extends z.ZodType>(
  definition: Operation<Input, Output>,
): Operation<Input, Output> => definition;

/** A message of the command stream. */
export const commandMessageSchema = z.object({
  effectId: effectIdSchema,
  replyTo: replyToSchema,
  input: z.unknown(),
  /** RFC 3339. A command older than 7 days is dead-lettered. */
  issuedAt: z.string(),
});
export type CommandMessage = z.infer<typeof commandMessageSchema>;

export const commandAgeMsMax = 7 * 24 * 3_600_000;

/** The tenant, run and task that an operation works for. Part of every operation's input, for logs, events and labels. */
export const ownerSchema = z.object({
  tenant: z.string().describe('Tenant of the run.'),
  runId: z.string().describe('The id of the run.'),
  taskId: z.string().describe('The id of the task.'),
});
export type Owner = z.infer<typeof ownerSchema>;

/** Largest text sent by value. For a larger text, the name of an object in `coppice-artifacts` is sent instead: see artifacts.ts. */
export const inlineTextBytesMax = 64 * 1024;
export const textReferenceSchema = z.union(
  [
    z.object({ text: z.string().describe('The text.') }),
    z.object({ artifact: z.string().describe('Name of the text, for `artifact.get`.') }),
  ],
  'an object with text or artifact',
);
export type TextReference = z.infer<typeof textReferenceSchema>;
