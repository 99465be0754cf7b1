import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { actorIdSchema, effectIdSchema, tokenSchema } from './identifiers.ts';

const eventSchema = z.looseObject({ type: z.string().min(1).max(200) });

/** The actor that receives the result of an effect. */
export const replyToSchema = z.object({ kind: tokenSchema, id: actorIdSchema });
export type ReplyTo = z.infer<typeof replyToSchema>;

export const outcomeSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('done'), output: z.unknown() }),
  z.object({ status: z.literal('failed'), error: wireErrorSchema }),
]);
/** How an effect ended. */
export type Outcome = z.infer<typeof outcomeSchema>;

/** A message in an actor's inbox, `coppice.actor.<kind>.<id>`. `issuedAt` is RFC 3339. */
export const actorMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('create'),
    /** Id of this creation of the actor. A repeated `create` has the same id. */
    messageId: z.string().min(1).max(250),
    input: z.unknown(),
    /** An event that the actor gets even if an earlier message created the actor. */
    event: eventSchema.optional(),
    issuedAt: z.string(),
  }),
  z.object({
    type: z.literal('event'),
    /** The actor stores this id, so that a repeated event isn't applied again. */
    messageId: z.string().min(1).max(250),
    event: eventSchema,
    /**
     * A core NATS subject for the answer, which is `{status: 'done', output: {state}}` or the error. The answer may be
     * lost.
     */
    answerTo: z.string().max(250).optional(),
    issuedAt: z.string(),
  }),
  z.object({
    type: z.literal('result'),
    effectId: effectIdSchema,
    outcome: outcomeSchema,
    /** Time that a command waited in the queue, and time of its work. Missing if unknown. */
    queuedMs: z.number().nonnegative().optional(),
    workedMs: z.number().nonnegative().optional(),
  }),
  z.object({ type: z.literal('timer'), effectId: effectIdSchema }),
  /** A message from the sweeper, with which an actor applies due timers or is unparked. */
  z.object({ type: z.literal('wake') }),
]);
export type ActorMessage = z.infer<typeof actorMessageSchema>;
