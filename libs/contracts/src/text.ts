import { z } from 'zod';

/**
 * Kinds of text in a request. What a JSON Schema can say of them it says: lengths count code points, as JSON Schema does (a JavaScript length counts
 * some twice), and patterns keep to what regular expressions of other languages know.
 */
export const characters = (charactersMax: number) =>
  z
    .string()
    .min(1)
    .refine((value) => value.length <= charactersMax || Array.from(value).length <= charactersMax, {
      message: `at most ${charactersMax} characters`,
      params: { keyword: 'maxLength' },
    })
    .meta({ maxLength: charactersMax });

/** Lines of text, as UTF-8 of limited size. No JSON Schema counts bytes, so there the limit is one of characters. */
export const text = (bytesMax: number) =>
  z
    .string()
    .min(1)
    .refine((value) => Buffer.byteLength(value) <= bytesMax, { message: `at most ${bytesMax} bytes` })
    .meta({ maxLength: bytesMax })
    .regex(/^[^\x00]*$/, 'no NUL characters');

/** One line: a break would let a description forge commit trailers. */
export const line = (charactersMax: number) =>
  characters(charactersMax)
    .regex(/^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$/, 'one line without control characters')
    .regex(/\S/, 'not only spaces');
