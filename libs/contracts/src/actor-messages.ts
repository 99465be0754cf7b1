import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { actorIdSchema, effectIdSchema, tokenSchema } from './identifiers.ts';

const eventSchema = z.looseObject({ type: z.string().min(1).max(200) });

/** Whom to send the result of an effect to. */
export const replyToSchema = z.object({ kind: tokenSchema, id: actorIdSchema });
export type ReplyTo = z.infer<typeof replyToSchema>;

export const outcomeSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('done'), output: z.unknown() }),
  z.object({ status: z.literal('failed'), error: wireErrorSchema }),
]);
/** How an effect ended. */
export type Outcome = z.infer<typeof outcomeSchema>;

/** What comes into an actor's inbox, `coppice.actor.<kind>.<id>`. `issuedAt` is RFC 3339. */
export const actorMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('create'),
    /** Distinguishes this birth from any other; a repeat of the same create has the same. */
    messageId: z.string().min(1).max(250),
    input: z.unknown(),
    /** Delivered to the actor whether this message or an earlier one made it. */
    event: eventSchema.optional(),
    issuedAt: z.string(),
  }),
  z.object({
    type: z.literal('event'),
    /** Remembered by the actor, so that a repeat is not applied again. */
    messageId: z.string().min(1).max(250),
    event: eventSchema,
    /** A core NATS subject that is told `{status: 'done', output: {state}}` or the refusal; best effort. */
    answerTo: z.string().max(250).optional(),
    issuedAt: z.string(),
  }),
  z.object({
    type: z.literal('result'),
    effectId: effectIdSchema,
    outcome: outcomeSchema,
    /** Of a command: how long it lay in its queue, and how long it was worked on, in milliseconds. Left out where nobody knows. */
    queuedMs: z.number().nonnegative().optional(),
    workedMs: z.number().nonnegative().optional(),
  }),
  z.object({ type: z.literal('timer'), effectId: effectIdSchema }),
  /** From the sweeper: look whether a deadline has passed or the outbox isn't empty. */
  z.object({ type: z.literal('wake') }),
]);
export type ActorMessage = z.infer<typeof actorMessageSchema>;
