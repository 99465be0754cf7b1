import { z } from 'zod';
import { replyToSchema } from '../actor-messages.ts';
import { effectIdSchema } from '../identifiers.ts';
import type { ServiceName } from '../services.ts';

/**
 * What an executor does with a command that it finds started by a lost owner.
 * `rerun`: do it again from the start. `unknown`: answer with the error code `unknown`; the actor decides.
 */
export type LostOwnerPolicy = 'rerun' | 'unknown';

/**
 * How an operation stands being delivered twice, even at the same moment.
 * Idempotent: harmless. Claimed: the executor holds a claim in KV `coppice-effects` first.
 */
export type Repeat = { kind: 'idempotent' } | { kind: 'claimed'; lostOwner: LostOwnerPolicy };

/** Something that a service does for an actor, ordered through the command stream and answered into the actor's inbox. */
export type Operation<Input extends z.ZodType = z.ZodType, Output extends z.ZodType = z.ZodType> = {
  service: ServiceName;
  /** One token; unique within the service. */
  name: string;
  input: Input;
  output: Output;
  repeat: Repeat;
  /** After this long the executor gives up and answers `deadline-exceeded`. The input may name a shorter time. */
  timeLimitMs: number;
};

export const operation = <Input extends z.ZodType, Output extends z.ZodType>(
  definition: Operation<Input, Output>,
): Operation<Input, Output> => definition;

/** A command as it lies in the command stream. */
export const commandMessageSchema = z.object({
  effectId: effectIdSchema,
  replyTo: replyToSchema,
  input: z.unknown(),
  /** RFC 3339. A command older than 7 days is dead-lettered. */
  issuedAt: z.string(),
});
export type CommandMessage = z.infer<typeof commandMessageSchema>;

export const commandAgeMsMax = 7 * 24 * 3_600_000;

/** Who a task belongs to; part of every operation's input, for logs, events and labels. */
export const ownerSchema = z.object({
  tenant: z.string().describe('Whose run it is.'),
  runId: z.string().describe('The id of the run.'),
  taskId: z.string().describe('The id of the task.'),
});
export type Owner = z.infer<typeof ownerSchema>;

/** Text by value where it is small, else the name of an object in `coppice-artifacts`: see artifacts.ts. */
export const inlineTextBytesMax = 64 * 1024;
export const textReferenceSchema = z.union(
  [
    z.object({ text: z.string().describe('The text.') }),
    z.object({ artifact: z.string().describe('Name of the text, for `artifact.get`.') }),
  ],
  'an object with text or artifact',
);
export type TextReference = z.infer<typeof textReferenceSchema>;
