/** The fields of a generateContent request that the gateway reads, in camel case. Only Gemini gets the other fields. */
import { z } from 'zod';

/**
 * The part mapper validates parts later. Parts that only Gemini knows may have any form, since Gemini validates them.
 */
const partSchema = z.looseObject({});
export type Part = z.output<typeof partSchema>;

const contentSchema = z.looseObject({ role: z.string().nullish(), parts: z.array(partSchema).nullish() });
export type Content = z.output<typeof contentSchema>;

const schema = z.record(z.string(), z.unknown()).nullish();

const declarationSchema = z.looseObject({
  name: z.string(),
  description: z.string().nullish(),
  parameters: schema,
  parametersJsonSchema: schema,
});

const generationSchema = z.looseObject({
  maxOutputTokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  topP: z.number().min(0).max(1).nullish(),
  topK: z.number().positive().nullish(),
  seed: z.int().nullish(),
  stopSequences: z.array(z.string()).nullish(),
  /** Allows only one answer, since the gateway couldn't detect that a second answer was truncated. */
  candidateCount: z.literal(1).nullish(),
  responseMimeType: z.string().nullish(),
  responseModalities: z.array(z.string()).nullish(),
  responseLogprobs: z.boolean().nullish(),
  responseSchema: schema,
  responseJsonSchema: schema,
  thinkingConfig: z.looseObject({ thinkingBudget: z.int().nullish(), thinkingLevel: z.string().nullish() }).nullish(),
});

export const generateRequestSchema = z.looseObject({
  contents: z.union([contentSchema.transform((content) => [content]), z.array(contentSchema).min(1)]),
  systemInstruction: z.union([z.string(), contentSchema]).nullish(),
  tools: z.array(z.looseObject({ functionDeclarations: z.array(declarationSchema).nullish() })).nullish(),
  toolConfig: z
    .looseObject({
      functionCallingConfig: z
        .looseObject({ mode: z.string().nullish(), allowedFunctionNames: z.array(z.string()).nullish() })
        .nullish(),
    })
    .nullish(),
  generationConfig: generationSchema.nullish(),
});
export type GenerateRequest = z.output<typeof generateRequestSchema>;
