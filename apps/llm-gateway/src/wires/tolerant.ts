/** Schemas for fields of answers: servers omit fields and fill them with the wrong type, which counts as missing. */
import { z } from 'zod';

export const text = z.string().nullish().catch(null);
export const count = z.number().int().nonnegative().nullish().catch(null);

const modelListSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

/** The names in a list of models as OpenAI and Anthropic send it; null if it is no such list. */
export const listedIds = (body: unknown): string[] | null =>
  modelListSchema.safeParse(body).data?.data.map(({ id }) => id) ?? null;
