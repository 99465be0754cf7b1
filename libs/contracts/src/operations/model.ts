import { z } from 'zod';
import { usageSchema } from '../views.ts';
import { operation, ownerSchema, textReferenceSchema } from './operation.ts';

/** A tool call as the model wrote it: its arguments are text that is meant to be JSON, and may not be. */
export const toolCallSchema = z.object({
  id: z.string().describe('As the model names the call.'),
  name: z.string().describe('The tool.'),
  arguments: textReferenceSchema.describe('Text that is meant to be JSON, and may not be.'),
});
export type ToolCall = z.infer<typeof toolCallSchema>;

/** Parts of a message. */
export const contentPartSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string() }),
  /** A large text, by its name in `coppice-artifacts`; the gateway reads it before it asks the provider. */
  z.object({ type: z.literal('text-artifact'), artifact: z.string() }),
  toolCallSchema.extend({ type: z.literal('tool-call') }),
  z.object({
    type: z.literal('tool-result'),
    callId: z.string(),
    name: z.string(),
    content: textReferenceSchema,
    isError: z.boolean(),
  }),
]);
export type ContentPart = z.infer<typeof contentPartSchema>;

export const modelMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']).describe('Tool results are messages of the role `tool`.'),
  content: z.array(contentPartSchema),
});
export type ModelMessage = z.infer<typeof modelMessageSchema>;

/** What a model may call. `parameters` is a JSON Schema of an object. */
export const toolDefinitionSchema = z.object({
  name: z.string(),
  description: z.string(),
  parameters: z.record(z.string(), z.unknown()),
});
export type ToolDefinition = z.infer<typeof toolDefinitionSchema>;

export const finishReasonSchema = z.enum(['stop', 'length', 'tool-calls', 'refusal', 'other']);

export const turnInputSchema = z.object({
  owner: ownerSchema,
  model: z.string().describe('`provider/model`.'),
  /**
   * The turn of this task's transcript that this one continues: the gateway puts what was said up to then, and its answer, before `messages`, so that
   * a conversation isn't carried in every command. Null: `messages` are all.
   */
  continues: z.string().nullable().default(null),
  messages: z.array(modelMessageSchema),
  tools: z.array(toolDefinitionSchema).max(64).default([]),
  timeLimitMs: z.int().positive(),
});
export const turnOutputSchema = z.object({
  turnId: z.string().describe('Names this turn for `continues`: the id of its effect.'),
  text: textReferenceSchema.describe('What the model says beside its calls.'),
  toolCalls: z.array(toolCallSchema).default([]).describe('In the order in which the model made them.'),
  finishReason: finishReasonSchema.describe('Why the model stopped.'),
  usage: usageSchema,
  responseModel: z.string().describe('As the provider names it.'),
  latencyMs: z.int().nonnegative().describe('From request to answer.'),
  queuedMs: z
    .int()
    .nonnegative()
    .optional()
    .describe('How long its command waited until a gateway took it; both clocks count.'),
  attempts: z.int().positive().optional().describe('How often a provider was asked.'),
});
export type TurnOutput = z.infer<typeof turnOutputSchema>;

export const modelOperations = {
  /** One model turn. Its transcript entry is stored before its claim is done, so that a finished turn is never paid twice. */
  turn: operation({
    service: 'llm-gateway',
    name: 'turn',
    repeat: { kind: 'claimed', lostOwner: 'unknown' },
    timeLimitMs: 60 * 60_000,
    input: turnInputSchema,
    output: turnOutputSchema,
  }),
} as const;

/** An entry of the transcript, `coppice.transcript.<tenant>.<taskId>`; its message id is the effect's, so that it is there once. */
export const transcriptEntrySchema = z.object({
  effectId: z.string().describe('The turn: the same however often it is told.'),
  owner: ownerSchema.describe('Whose turn it is.'),
  model: z.string().describe('`provider/model`.'),
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
