import { z } from 'zod';
import {
  finishReasonSchema,
  modelMessageSchema,
  modelSettingsSchema,
  modelUsageSchema,
  signatureSchema,
  thinkingSchema,
  toolCallSchema,
  toolDefinitionSchema,
} from '../model-messages.ts';
import { modelLimitsSchema } from '../run-request.ts';
import { operation, ownerSchema, textReferenceSchema } from './operation.ts';

export const turnInputSchema = z.object({
  owner: ownerSchema,
  model: z.string().describe('`provider/model`, or an alias of the gateway.'),
  /**
   * The turn of this task's transcript that this one continues. The gateway puts the conversation up to and including that turn's answer before `messages`, so
   * that commands don't carry it. Null: `messages` is the whole conversation.
   */
  continues: z.string().nullable().default(null),
  messages: z.array(modelMessageSchema),
  /** Earlier effects for this same turn whose outcome is unknown. If one of them has stored an answer, that answer is used. */
  lostTurns: z.array(z.string()).max(16).default([]),
  tools: z.array(toolDefinitionSchema).max(64).default([]),
  settings: modelSettingsSchema.default({}),
  limits: z
    .object({ task: modelLimitsSchema, run: modelLimitsSchema })
    .default({ task: {}, run: {} })
    .describe('What the task, and its run, may use of models from their beginning on.'),
  timeLimitMs: z.int().positive(),
});
export const turnOutputSchema = z.object({
  turnId: z.string().describe('Names this turn for `continues`: the id of its effect.'),
  text: textReferenceSchema.describe('What the model says beside its calls.'),
  textSignature: signatureSchema
    .optional()
    .describe('By which its provider knows the text again; goes back to the provider with the next turn.'),
  toolCalls: z.array(toolCallSchema).default([]).describe('In the order in which the model made them.'),
  thinking: z
    .array(thinkingSchema.extend({ callsBefore: z.int().nonnegative().describe('Tool calls that precede it.') }))
    .optional()
    .describe('What the model thought, if its provider reports it; goes back to the provider with the next turn.'),
  finishReason: finishReasonSchema.describe('Why the model stopped.'),
  providerFinishReason: z.string().optional().describe('The same in the words of the provider.'),
  usage: modelUsageSchema.describe('What the turn used; of a cached answer, what that once used, at a cost of 0.'),
  provider: z.string().optional().describe('Who answered: the part of `provider/model` before the slash.'),
  responseId: z.string().optional().describe("The provider's id of its answer."),
  cached: z.boolean().optional().describe("Whether the answer is an earlier one, of the gateway's cache."),
  responseModel: z.string().describe('As the provider names it.'),
  latencyMs: z.int().nonnegative().describe('From request to answer.'),
  queuedMs: z
    .int()
    .nonnegative()
    .optional()
    .describe('How long its command waited until a gateway took it; both clocks count.'),
  attempts: z.int().positive().optional().describe('Number of requests to providers; absent for a cached answer.'),
});
export type TurnOutput = z.infer<typeof turnOutputSchema>;

export const modelOperations = {
  /** Runs one model call. Its transcript entry is stored before its claim is marked done, so that a finished call is never paid for twice. */
  turn: operation({
    service: 'llm-gateway',
    name: 'turn',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 60 * 60_000,
    input: turnInputSchema,
    output: turnOutputSchema,
  }),
} as const;

/** An entry of the transcript, `coppice.transcript.<tenant>.<taskId>`. Its message id is the effect id, so that JetStream stores it once. */
export const transcriptEntrySchema = z.object({
  effectId: z.string().describe('The turn: the same in each repetition of the message.'),
  owner: ownerSchema.describe('Whose turn it is.'),
  model: z.string().describe('`provider/model`, or an alias of the gateway.'),
  continues: z
    .string()
    .nullable()
    .default(null)
    .describe('The turn before it in the conversation; null for the first.'),
  request: textReferenceSchema.describe("This turn's own messages, as JSON; by reference where they are large."),
  output: turnOutputSchema.describe('What the model answered.'),
  time: z.string().describe('RFC 3339.'),
});
export type TranscriptEntry = z.infer<typeof transcriptEntrySchema>;
