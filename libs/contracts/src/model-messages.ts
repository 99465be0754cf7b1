/** Model messages, in one format for all providers. It keeps everything that a provider sends. */
import { z } from 'zod';
import { textReferenceSchema } from './operations/operation.ts';
import { usageSchema } from './views.ts';

/**
 * Opaque text by which a provider recognises its own message parts, such as the signature of a thinking block or
 * encrypted reasoning. The gateway returns it unchanged with the part, only to providers with the same wire format.
 */
export const signatureSchema = z.object({
  wire: z.string().describe('The wire format of the provider that made it.'),
  value: z.string().describe('Opaque value.'),
});
export type Signature = z.infer<typeof signatureSchema>;
const signature = signatureSchema
  .optional()
  .describe('Signature by which the provider recognises its own content. Must be returned unchanged.');

/** A tool call as the model wrote it. Its arguments should be JSON, but may be invalid. */
export const toolCallSchema = z.object({
  id: z.string().describe("The model's id of the call."),
  name: z.string().describe('Name of the tool.'),
  arguments: textReferenceSchema.describe(
    'The arguments as text. It should be JSON, but a model may produce something else.',
  ),
  signature,
});
export type ToolCall = z.infer<typeof toolCallSchema>;

/** A model's reasoning. `text` is empty if the provider sends only the signature. */
export const thinkingSchema = z.object({
  text: textReferenceSchema.describe('Empty if the provider does not report it.'),
  redacted: z.boolean().default(false).describe('True if the provider hides the text and sends only the signature.'),
  signature,
});

/**
 * An image, as base64 text, as the name of an object with base64 text, or as a URL that the provider itself fetches.
 */
export const imageSchema = z.object({
  mediaType: z
    .string()
    .regex(/^image\/[a-z0-9.+-]{1,64}$/, 'a media type such as image/png')
    .optional()
    .describe('Media type, such as `image/png`. Required, except for an image with a url.'),
  source: z
    .union(
      [
        z.object({ base64: z.string().describe('The content of the image.') }),
        z.object({ artifact: z.string().describe('Name of its base64 text, as for `artifact.get`.') }),
        z.object({
          url: z
            .string()
            .regex(/^https?:\/\/[^\s/]\S*$/, 'an address that begins with http:// or https://')
            .describe('Address from which the provider fetches the image.'),
        }),
      ],
      'an object with base64, artifact or url',
    )
    .describe('The image, or a reference to it.'),
});

export const contentPartSchema = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text'), text: z.string().describe('The text.'), signature }),
    /** The name of a large text in `coppice-artifacts`. The gateway reads the text before it calls the provider. */
    z.object({
      type: z.literal('text-artifact'),
      artifact: z.string().describe('Name of the text, as for `artifact.get`.'),
    }),
    imageSchema.extend({ type: z.literal('image') }),
    thinkingSchema.extend({ type: z.literal('thinking') }),
    toolCallSchema.extend({ type: z.literal('tool-call') }),
    z.object({
      type: z.literal('tool-result'),
      callId: z.string().describe('The `id` of the call that this result belongs to.'),
      name: z.string().describe('Name of the tool.'),
      content: textReferenceSchema.describe('The result of the tool.'),
      images: z.array(imageSchema).optional().describe('Images in the result.'),
      isError: z.boolean().describe('True if the call failed.'),
    }),
  ],
  'one of text, text-artifact, image, thinking, tool-call, tool-result',
);
export type ContentPart = z.infer<typeof contentPartSchema>;

export const modelMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']).describe('Tool results are messages of the role `tool`.'),
  content: z.array(contentPartSchema).describe('Parts of the message, in order.'),
});
export type ModelMessage = z.infer<typeof modelMessageSchema>;

/** A tool that a model may call. `parameters` is the JSON Schema of an object. */
export const toolDefinitionSchema = z.object({
  name: z.string().describe('Name of the tool, as the model calls it.'),
  description: z.string().describe('Description for the model.'),
  parameters: z.record(z.string(), z.unknown()).describe('JSON Schema of the arguments, which are an object.'),
  strict: z
    .boolean()
    .optional()
    .describe(
      "True if the arguments must match the schema exactly. Only for providers with one of OpenAI's wire formats; they then reject schemas that they can't enforce.",
    ),
});
export type ToolDefinition = z.infer<typeof toolDefinitionSchema>;

/**
 * Settings of a model call. A missing setting has the provider's default. A setting that the wire format of a provider
 * lacks isn't sent to it.
 */
export const modelSettingsSchema = z.object({
  maxOutputTokens: z.int().positive().optional().describe("Maximum of the answer's tokens, including thinking."),
  temperature: z.number().min(0).max(2).optional().describe('Randomness of the choice of words.'),
  topP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('The model chooses among the most probable words whose probabilities add up to this value.'),
  topK: z.int().positive().optional().describe('The model chooses among this number of most probable words.'),
  seed: z
    .int()
    .optional()
    .describe('With the same seed, the model makes the same choices, if the provider supports it.'),
  stopSequences: z.array(z.string().min(1)).max(16).optional().describe('Texts at which the answer ends.'),
  toolChoice: z
    .union(
      [z.enum(['auto', 'none', 'required']), z.object({ tool: z.string().describe('The name of the tool.') })],
      'auto, none, required, or an object with tool',
    )
    .optional()
    .describe('`required`: the model must call a tool; `{tool}`: it must call this tool.'),
  parallelToolCalls: z.boolean().optional().describe('True if the model may call several tools in one answer.'),
  responseFormat: z
    .discriminatedUnion(
      'type',
      [
        z.object({ type: z.literal('text') }),
        z.object({ type: z.literal('json') }),
        z.object({
          type: z.literal('json-schema'),
          name: z
            .string()
            .regex(/^[a-zA-Z0-9_-]{1,64}$/, 'up to 64 letters, digits, _ and -')
            .describe("Name of the answer's type, for the model."),
          description: z.string().optional().describe('Description for the model.'),
          schema: z.record(z.string(), z.unknown()).describe('JSON Schema of the answer.'),
          strict: z.boolean().optional().describe('True if the provider must enforce the schema.'),
        }),
      ],
      'one of text, json, json-schema',
    )
    .optional()
    .describe('The form of the answer.'),
  thinking: z
    .union(
      [
        z.object({
          effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']).describe('Amount as a level.'),
        }),
        z.object({ budgetTokens: z.int().nonnegative().describe('Amount in tokens.') }),
      ],
      'an object with effort or budgetTokens',
    )
    .optional()
    .describe('Amount of thinking before the answer.'),
  cache: z
    .boolean()
    .optional()
    .describe(
      "`false`: the answer neither comes from the gateway's cache nor is stored there. Without effect if the cache is off.",
    ),
});
export type ModelSettings = z.infer<typeof modelSettingsSchema>;

export const finishReasonSchema = z.enum(['stop', 'length', 'tool-calls', 'refusal', 'other']);

export const modelUsageSchema = usageSchema.extend({
  cachedInputTokens: z
    .int()
    .nonnegative()
    .optional()
    .describe("The part of `inputTokens` that was read from the provider's cache."),
  cacheWriteInputTokens: z
    .int()
    .nonnegative()
    .optional()
    .describe("The part of `inputTokens` that was written to the provider's cache."),
  reasoningTokens: z.int().nonnegative().optional().describe('The part of `outputTokens` that was used for thinking.'),
});
export type ModelUsage = z.infer<typeof modelUsageSchema>;
