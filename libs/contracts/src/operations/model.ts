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
   * The turn in the task's transcript that the new turn continues. The gateway puts the conversation up to that turn's
   * answer before `messages`, so that commands don't contain the conversation. If null, `messages` is the whole
   * conversation.
   */
  continues: z.string().nullable().default(null),
  messages: z.array(modelMessageSchema),
  /**
   * Ids of earlier effects for the same turn, whose outcome is unknown. If one of these effects has stored an answer,
   * that answer is used.
   */
  lostTurns: z.array(z.string()).max(16).default([]),
  tools: z.array(toolDefinitionSchema).max(64).default([]),
  settings: modelSettingsSchema.default({}),
  limits: z
    .object({ task: modelLimitsSchema, run: modelLimitsSchema })
    .default({ task: {}, run: {} })
    .describe('Limits of the model use of the task and of its run, counted from their beginning.'),
  timeLimitMs: z.int().positive(),
});
export const turnOutputSchema = z.object({
  turnId: z.string().describe('Id of this turn for `continues`: the id of its effect.'),
  text: textReferenceSchema.describe("The model's text beside its tool calls."),
  textSignature: signatureSchema
    .optional()
    .describe('Signature of the text by the provider. The next turn returns it to the provider.'),
  toolCalls: z.array(toolCallSchema).default([]).describe("The tool calls, in the model's order."),
  thinking: z
    .array(
      thinkingSchema.extend({
        callsBefore: z.int().nonnegative().describe('Number of tool calls before the thought.'),
      }),
    )
    .optional()
    .describe("The model's thoughts, if the provider reports them. The next turn returns them to the provider."),
  finishReason: finishReasonSchema.describe('The reason why the model stopped.'),
  providerFinishReason: z.string().optional().describe("The provider's own value for the reason."),
  usage: modelUsageSchema.describe(
    'Usage of the turn. For a cached answer: the usage of the original answer, at a cost of 0.',
  ),
  provider: z
    .string()
    .optional()
    .describe('The provider that answered: the part of `provider/model` before the slash.'),
  responseId: z.string().optional().describe("The provider's id of the answer."),
  cached: z.boolean().optional().describe("True if the answer is from the gateway's cache."),
  responseModel: z.string().describe('Name of the model, as reported by the provider.'),
  latencyMs: z.int().nonnegative().describe('Time from the request to the answer.'),
  queuedMs: z
    .int()
    .nonnegative()
    .optional()
    .describe("Time until a gateway took the turn's command. It is computed from the clocks of two machines."),
  attempts: z.int().positive().optional().describe('Number of requests to providers; absent for a cached answer.'),
});
export type TurnOutput = z.infer<typeof turnOutputSchema>;

export const modelOperations = {
  /**
   * Runs one model call. The gateway stores the transcript entry before it marks the claim as done, so that a finished
   * call is never paid for twice.
   */
  turn: operation({
    service: 'llm-gateway',
    name: 'turn',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 60 * 60_000,
    input: turnInputSchema,
    output: turnOutputSchema,
  }),
} as const;

/**
 * An entry of the transcript, `coppice.transcript.<tenant>.<taskId>`. Its message id is the effect id, so that
 * JetStream stores the entry once.
 */
export const transcriptEntrySchema = z.object({
  effectId: z.string().describe('Id of the turn. A repeated message has the same id.'),
  owner: ownerSchema.describe('The task that the turn belongs to.'),
  model: z.string().describe('`provider/model`, or an alias of the gateway.'),
  continues: z.string().nullable().default(null).describe('The previous turn of the conversation; null for the first.'),
  request: textReferenceSchema.describe('Messages that this turn added, as JSON. Large ones are references.'),
  output: turnOutputSchema.describe("The model's answer."),
  time: z.string().describe('RFC 3339.'),
});
export type TranscriptEntry = z.infer<typeof transcriptEntrySchema>;
