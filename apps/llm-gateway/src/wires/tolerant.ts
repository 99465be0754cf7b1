/** Schemas for fields of answers. A field of a wrong type counts as missing. */
import { z } from 'zod';

export const text = z.string().nullish().catch(null);
export const count = z.number().int().nonnegative().nullish().catch(null);

const modelListSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

/** Returns the names in a list of models in OpenAI's and Anthropic's form; null for anything else. */
export const listedIds = (body: unknown): string[] | null =>
  modelListSchema.safeParse(body).data?.data.map(({ id }) => id) ?? null;
