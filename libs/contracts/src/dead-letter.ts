import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';

/**
 * A message that could not be processed. Its subject is `coppice.deadletter.<source>`, or
 * `coppice.deadletter.intake.<tenant>` for the intake.
 */
export const deadLetterSchema = z.object({
  subject: z.string().describe('Subject that the message was published to.'),
  reason: wireErrorSchema.describe('The reason why the message became a dead letter.'),
  deliveryCount: z.int().nonnegative().describe('Number of deliveries.'),
  publishedAt: z.string().describe('RFC 3339.'),
  deadAt: z.string().describe('RFC 3339.'),
  headers: z.record(z.string(), z.string()).describe('Headers of the message, as far as they fit in 8 KiB.'),
  headersLeftOut: z.int().positive().optional().describe('Number of headers that did not fit.'),
  bytes: z.int().nonnegative().describe('Size of the message.'),
  data: z
    .string()
    .describe(
      'The message in base64: at most the first 512 KiB, and at most the first 16 KiB of a rejected request in the intake.',
    ),
});
/**
 * Retention of dead letters. Over `perSubjectMax`, the oldest dead letters of the subject are deleted. Over
 * `mebibytes`, the oldest of the stream are deleted.
 */
export const deadLettersKept = { perSubjectMax: 2_000, days: 90, mebibytes: 512 } as const;
export type DeadLetter = z.infer<typeof deadLetterSchema>;
