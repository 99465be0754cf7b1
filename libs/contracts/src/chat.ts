/**
 * Chats, by which any client of the bus sends a model call and receives the answer as a stream. See docs/protocol.md.
 */
import { z } from 'zod';
import type { Method } from './api.ts';
import { wireErrorSchema } from './errors.ts';
import {
  modelMessageSchema,
  modelSettingsSchema,
  modelUsageSchema,
  signatureSchema,
  thinkingSchema,
  toolCallSchema,
  toolDefinitionSchema,
} from './model-messages.ts';
import { turnOutputSchema } from './operations/model.ts';
import { modelLimitsSchema, modelNameSchema } from './run-request.ts';
import { strictly } from './strict.ts';

/** The service name that `nats micro ls` shows. */
export const chatServiceName = 'llm-chat';

export const chatLimits = {
  timeLimitMsMin: 1_000,
  timeLimitMsMax: 3_600_000,
  /**
   * Maximum time limit of a chat whose answer is a single message. If the client is in another account than the
   * gateway, the NATS server forgets the reply subject after two minutes without a message.
   */
  wholeTimeLimitMsMax: 100_000,
  /** Maximum interval between two `llm.keep` requests of a client. */
  keepMsMax: 30_000,
  /** Time without an `llm.keep` request after which the gateway ends the chat. */
  unkeptMsMax: 45_000,
  /** Maximum interval between two messages of a streamed answer. */
  silenceMsMax: 20_000,
  /** Time without a message of a streamed answer after which a client may assume that the gateway is lost. */
  lostAfterMs: 30_000,
  messagesMax: 10_000,
  /** Maximum number of distinct artifacts in one request. The gateway reads each of them from the object store. */
  artifactsMax: 64,
  toolsMax: 128,
} as const;

const chatId = z
  .string()
  .regex(/^c[0-9a-f]{32}$/, 'a chat id: c and 32 hexadecimal digits')
  .describe('The id from `started`.');
const chatTarget = z.strictObject({ chatId });

const chatRequestSchema = z.strictObject({
  model: modelNameSchema.describe('`provider/model`, or an alias of the gateway.'),
  messages: z
    .array(strictly(modelMessageSchema))
    .min(1)
    .max(chatLimits.messagesMax)
    .describe(
      `The whole conversation: a chat remembers nothing. It may name up to ${chatLimits.artifactsMax} artifacts.`,
    ),
  tools: z
    .array(strictly(toolDefinitionSchema))
    .max(chatLimits.toolsMax)
    .default([])
    .describe('Tools that the model may call. The client executes the call and sends the result in its next request.'),
  settings: strictly(modelSettingsSchema)
    .default({})
    .describe("Settings of the answer. The provider's default applies to missing ones."),
  stream: z
    .boolean()
    .default(true)
    .describe(
      '`true`: the answer is sent in several messages while the model generates it. `false`: the answer is sent in one message when it is complete.',
    ),
  timeLimitMs: z
    .int()
    .min(chatLimits.timeLimitMsMin)
    .max(chatLimits.timeLimitMsMax)
    .optional()
    .describe(
      'Time limit of the chat. Default: one hour. For an answer in one message the default and the maximum are 100 s.',
    ),
  limits: modelLimitsSchema
    .optional()
    .describe("Limits of this chat's use of models, over all attempts. The tenant's budgets apply as well."),
});

/** The last part of a streamed answer, and of an answer in one message. */
const chatEnd = turnOutputSchema
  .pick({ finishReason: true, providerFinishReason: true, responseModel: true, responseId: true })
  .extend({
    usage: modelUsageSchema.describe('Usage of all attempts together, since a failed attempt is paid for too.'),
    provider: z.string().describe('The provider that answered: the part of `provider/model` before the slash.'),
    model: z.string().describe("The provider's name for the model: the part after the slash."),
    attempts: z.int().nonnegative().describe('Number of requests to providers; 0 for an answer from the cache.'),
    latencyMs: z.int().nonnegative().describe('Time from the first attempt to the end of the answer.'),
    queuedMs: z
      .int()
      .nonnegative()
      .describe("The part of that time spent waiting because of the provider's limit on concurrent calls."),
    cached: z.boolean().describe("True if the answer is from the gateway's cache."),
  });

const chatAnswerSchema = z.object({
  message: modelMessageSchema.describe("The model's message, in the form in which the next request must contain it."),
  ...chatEnd.shape,
});

const numbered = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.object({
    sequence: z
      .int()
      .nonnegative()
      .describe('Number of the message within the answer, from 0. A gap means that messages were lost.'),
    ...shape,
  });
const signature = signatureSchema
  .optional()
  .describe('Signature of the part, sent once and complete. The next request must return it unchanged.');

export const chatMessageSchema = z.discriminatedUnion('type', [
  numbered({ type: z.literal('started'), chatId: chatId.describe('Id of this chat for `llm.keep` and `llm.cancel`.') }),
  numbered({ type: z.literal('text-delta'), text: z.string().describe('The next piece of the text.'), signature }),
  numbered({
    type: z.literal('thinking-delta'),
    block: z.int().nonnegative().describe('Number of the thought within the answer, from 0.'),
    text: z.string().describe('The next piece of the thought.'),
    redacted: thinkingSchema.shape.redacted.unwrap().optional().describe('True if the provider hides the text.'),
    signature,
  }),
  numbered({
    type: z.literal('tool-call-delta'),
    call: z.int().nonnegative().describe('Number of the call within the answer, from 0.'),
    id: toolCallSchema.shape.id.optional().describe('May be in any message of the call; the last value counts.'),
    name: toolCallSchema.shape.name.optional().describe('May be in any message of the call; the last value counts.'),
    arguments: z.string().describe('The next piece of the arguments. They are complete only in `result`.'),
    signature,
  }),
  numbered({ type: z.literal('waiting') }),
  numbered({ type: z.literal('result'), ...chatEnd.shape }),
  numbered({ type: z.literal('error'), error: wireErrorSchema.describe('The reason why the answer ends here.') }),
]);
export type ChatMessage = z.infer<typeof chatMessageSchema>;

/** The methods of the public API that the gateways serve. */
export const chatApi = {
  /** The answer is one message, or a stream of `chatMessageSchema`. */
  chat: {
    name: 'llm.chat',
    description:
      'Send a request to a model. The answer comes in several messages while it is produced, or in one message.',
    input: chatRequestSchema,
    output: chatAnswerSchema,
    deadlineMs: 110_000,
  },
  keep: {
    name: 'llm.keep',
    description: 'Keep a chat running. Only the gateway that runs the chat answers; if none does, no answer comes.',
    input: chatTarget,
    output: chatTarget,
    deadlineMs: 5_000,
  },
  cancel: {
    name: 'llm.cancel',
    description: 'End a chat at once. Only the gateway that runs the chat answers; if none does, no answer comes.',
    input: chatTarget,
    output: chatTarget,
    deadlineMs: 5_000,
  },
} as const satisfies Record<string, Method>;
export type ChatRequest = z.output<typeof chatRequestSchema>;
export type ChatAnswer = z.infer<typeof chatAnswerSchema>;
