/** Model messages, in one format for all providers that keeps everything a provider sends. */
import { z } from 'zod';
import { textReferenceSchema } from './operations/operation.ts';
import { usageSchema } from './views.ts';

/**
 * Opaque text by which a provider recognises its own message parts (a thinking block's signature, encrypted reasoning). It is sent back unchanged with the part,
 * and only to providers with the same wire format.
 */
export const signatureSchema = z.object({
  wire: z.string().describe('The wire format of the provider that made it.'),
  value: z.string().describe('Opaque.'),
});
export type Signature = z.infer<typeof signatureSchema>;
const signature = signatureSchema
  .optional()
  .describe('By which its provider knows it again; to be given back unchanged.');

/** A tool call as the model wrote it. Its arguments are text that should be JSON but may be invalid. */
export const toolCallSchema = z.object({
  id: z.string().describe('As the model names the call.'),
  name: z.string().describe('The tool.'),
  arguments: textReferenceSchema.describe('Text that is meant to be JSON, and may not be.'),
  signature,
});
export type ToolCall = z.infer<typeof toolCallSchema>;

/** A model's reasoning. `text` is empty if the provider sends only the signature. */
export const thinkingSchema = z.object({
  text: textReferenceSchema.describe('Empty if the provider does not report it.'),
  redacted: z.boolean().default(false).describe('The provider hides the text: the signature is all there is.'),
  signature,
});

/** An image: base64 by value if it is small, otherwise the name of an object of base64 text; or a URL that the provider itself fetches. */
export const imageSchema = z.object({
  mediaType: z
    .string()
    .regex(/^image\/[a-z0-9.+-]{1,64}$/, 'a media type such as image/png')
    .optional()
    .describe('Such as `image/png`. Required, but of an image by its address.'),
  source: z
    .union(
      [
        z.object({ base64: z.string().describe('The image itself.') }),
        z.object({ artifact: z.string().describe('Name of its base64 text, as for `artifact.get`.') }),
        z.object({
          url: z
            .string()
            .regex(/^https?:\/\/[^\s/]\S*$/, 'an address that begins with http:// or https://')
            .describe('Where the provider itself fetches it.'),
        }),
      ],
      'an object with base64, artifact or url',
    )
    .describe('The image, or where it is.'),
});

/** Parts of a message. */
export const contentPartSchema = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text'), text: z.string().describe('The text.'), signature }),
    /** A large text, by its name in `coppice-artifacts`. The gateway reads it before it calls the provider. */
    z.object({
      type: z.literal('text-artifact'),
      artifact: z.string().describe('Name of the text, as for `artifact.get`.'),
    }),
    imageSchema.extend({ type: z.literal('image') }),
    thinkingSchema.extend({ type: z.literal('thinking') }),
    toolCallSchema.extend({ type: z.literal('tool-call') }),
    z.object({
      type: z.literal('tool-result'),
      callId: z.string().describe('The `id` of the call that it answers.'),
      name: z.string().describe('The tool.'),
      content: textReferenceSchema.describe('The result of the tool.'),
      images: z.array(imageSchema).optional().describe('What it showed.'),
      isError: z.boolean().describe('Whether the call failed.'),
    }),
  ],
  'one of text, text-artifact, image, thinking, tool-call, tool-result',
);
export type ContentPart = z.infer<typeof contentPartSchema>;

export const modelMessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']).describe('Tool results are messages of the role `tool`.'),
  content: z.array(contentPartSchema).describe('What is said, in order.'),
});
export type ModelMessage = z.infer<typeof modelMessageSchema>;

/** A tool that a model may call. `parameters` is a JSON Schema of an object. */
export const toolDefinitionSchema = z.object({
  name: z.string().describe('As the model calls it.'),
  description: z.string().describe('Description of it for the model.'),
  parameters: z.record(z.string(), z.unknown()).describe('JSON Schema of an object: its arguments.'),
  strict: z
    .boolean()
    .optional()
    .describe(
      "Whether arguments keep to it to the letter, where the provider's wire is one of OpenAI's; it then refuses schemas that it can't hold a model to.",
    ),
});
export type ToolDefinition = z.infer<typeof toolDefinitionSchema>;

/** Settings of a model call. A missing setting has the provider's default. Settings that a provider's wire format lacks are left out of its request. */
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
          description: z.string().optional().describe('Description of it for the model.'),
          schema: z.record(z.string(), z.unknown()).describe('JSON Schema of the answer.'),
          strict: z.boolean().optional().describe('Whether the provider is to enforce it.'),
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
          effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']).describe('How much, in words.'),
        }),
        z.object({ budgetTokens: z.int().nonnegative().describe('How much, in tokens.') }),
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
  cachedInputTokens: z.int().nonnegative().optional().describe('Those of `inputTokens` that the provider had cached.'),
  cacheWriteInputTokens: z.int().nonnegative().optional().describe('Those of `inputTokens` that it cached.'),
  reasoningTokens: z.int().nonnegative().optional().describe('Those of `outputTokens` that the model thought with.'),
});
export type ModelUsage = z.infer<typeof modelUsageSchema>;
