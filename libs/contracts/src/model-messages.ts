/** What is said to a model and what it answers, the same for all providers: rich enough that nothing they say is lost. */
import { z } from 'zod';
import { textReferenceSchema } from './operations/operation.ts';
import { usageSchema } from './views.ts';

/**
 * Opaque text by which a provider knows its own parts again (a thinking block's signature, encrypted reasoning): given back to it unchanged with the part, and
 * told to no provider of another wire.
 */
export const signatureSchema = z.object({
  wire: z.string().describe('The wire format of the provider that made it.'),
  value: z.string().describe('Opaque.'),
});
export type Signature = z.infer<typeof signatureSchema>;
const signature = signatureSchema
  .optional()
  .describe('By which its provider knows it again; to be given back unchanged.');

/** A tool call as the model wrote it: its arguments are text that is meant to be JSON, and may not be. */
export const toolCallSchema = z.object({
  id: z.string().describe('As the model names the call.'),
  name: z.string().describe('The tool.'),
  arguments: textReferenceSchema.describe('Text that is meant to be JSON, and may not be.'),
  signature,
});
export type ToolCall = z.infer<typeof toolCallSchema>;

/** What a model thought. `text` may be empty where the provider tells its signature alone. */
export const thinkingSchema = z.object({
  text: textReferenceSchema.describe('Empty where it is not told.'),
  redacted: z.boolean().default(false).describe('The provider hides the text: the signature is all there is.'),
  signature,
});

/** Base64 by value where it is small; else the name of an object of base64 text; or an address that the provider itself fetches. */
export const imageSchema = z.object({
  mediaType: z
    .string()
    .regex(/^image\/[a-z0-9.+-]{1,64}$/, 'a media type such as image/png')
    .optional(),
  source: z.union([
    z.object({ base64: z.string() }),
    z.object({ artifact: z.string() }),
    z.object({ url: z.url({ protocol: /^https?$/ }) }),
  ]),
});

/** Parts of a message. */
export const contentPartSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string(), signature }),
  /** A large text, by its name in `coppice-artifacts`; the gateway reads it before it asks the provider. */
  z.object({ type: z.literal('text-artifact'), artifact: z.string() }),
  imageSchema.extend({ type: z.literal('image') }),
  thinkingSchema.extend({ type: z.literal('thinking') }),
  toolCallSchema.extend({ type: z.literal('tool-call') }),
  z.object({
    type: z.literal('tool-result'),
    callId: z.string(),
    name: z.string(),
    content: textReferenceSchema,
    images: z.array(imageSchema).optional(),
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

/** How a model is to answer. What is left out is the provider's default; what a provider's wire has no word for is left out of its request. */
export const modelSettingsSchema = z.object({
  maxOutputTokens: z.int().positive().optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: z.int().positive().optional(),
  seed: z.int().optional(),
  stopSequences: z.array(z.string().min(1)).max(16).optional(),
  toolChoice: z
    .union([z.enum(['auto', 'none', 'required']), z.object({ tool: z.string() })])
    .optional()
    .describe('`required`: some tool; `{tool}`: this one.'),
  parallelToolCalls: z.boolean().optional(),
  responseFormat: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json') }),
      z.object({
        type: z.literal('json-schema'),
        name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'up to 64 letters, digits, _ and -'),
        description: z.string().optional(),
        schema: z.record(z.string(), z.unknown()).describe('JSON Schema of the answer.'),
        strict: z.boolean().optional(),
      }),
    ])
    .optional(),
  thinking: z
    .union([
      z.object({ effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']) }),
      z.object({ budgetTokens: z.int().nonnegative() }),
    ])
    .optional(),
  cache: z
    .boolean()
    .optional()
    .describe(
      "`false`: the answer is neither taken from the gateway's cache nor kept there, where that is switched on.",
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
