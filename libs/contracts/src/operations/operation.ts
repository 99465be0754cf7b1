import { z } from 'zod';
import { replyToSchema } from '../actor-messages.ts';
import { effectIdSchema } from '../identifiers.ts';
import type { ServiceName } from '../services.ts';

/**
 * What an executor does with a command that a lost executor has started. `rerun` runs it again from the start.
 * `unknown` answers with the error code `unknown`, and the actor decides.
 */
export type LostOwnerPolicy = 'rerun' | 'unknown';

/**
 * Handling of a command that is delivered twice, possibly at the same time. `idempotent` means that it is harmless to
 * run the command twice. `claimed` means that the executor first takes a claim in the KV bucket `coppice-effects`.
 */
export type Repeat = { kind: 'idempotent' } | { kind: 'claimed'; lostOwner: LostOwnerPolicy };

/**
 * An operation that a service runs for an actor. The command comes from the command stream, and the result goes to the
 * actor's inbox.
 */
export type Operation<Input extends z.ZodType = z.ZodType, Output extends z.ZodType = z.ZodType> = {
  service: ServiceName;
  /** One token, unique within the service. */
  name: string;
  input: Input;
  output: Output;
  repeat: Repeat;
  /** Time after which the executor stops and answers `deadline-exceeded`. The input may set a shorter time. */
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

/** The tenant, run and task of an operation. It is part of every operation's input, for logs, events and labels. */
export const ownerSchema = z.object({
  tenant: z.string().describe('Tenant of the run.'),
  runId: z.string().describe('The id of the run.'),
  taskId: z.string().describe('The id of the task.'),
});
export type Owner = z.infer<typeof ownerSchema>;

/**
 * Maximum size of a text that is sent by value. A larger text is sent as the name of an object in `coppice-artifacts`.
 */
export const inlineTextBytesMax = 64 * 1024;
export const textReferenceSchema = z.union(
  [
    z.object({ text: z.string().describe('The text.') }),
    z.object({ artifact: z.string().describe('Name of the text, for `artifact.get`.') }),
  ],
  'an object with text or artifact',
);
export type TextReference = z.infer<typeof textReferenceSchema>;
