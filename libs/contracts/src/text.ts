import { z } from 'zod';

/**
 * Text of limited length in a request. JSON Schema must be able to express the limits. So lengths count code points,
 * although JavaScript's `length` counts some of them twice. Patterns only use syntax that other languages have too.
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

/**
 * Text of limited size in UTF-8. JSON Schema can't count bytes, so the published schema limits the number of
 * characters.
 */
export const text = (bytesMax: number) =>
  z
    .string()
    .min(1)
    .refine((value) => Buffer.byteLength(value) <= bytesMax, { message: `at most ${bytesMax} bytes` })
    .meta({ maxLength: bytesMax })
    .regex(/^[^\x00]*$/, 'no NUL characters');

/** One line of text. With a line break, a description could forge commit trailers. */
export const line = (charactersMax: number) =>
  characters(charactersMax)
    .regex(/^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$/, 'one line without control characters')
    .regex(/\S/, 'not only spaces');
