import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';

/** A message that could not be processed, on `coppice.deadletter.<source>`; from the intake, on `coppice.deadletter.intake.<tenant>`. */
export const deadLetterSchema = z.object({
  subject: z.string().describe('Where the message was published.'),
  reason: wireErrorSchema.describe('Why it was given up on.'),
  deliveryCount: z.int().nonnegative().describe('How often it was delivered.'),
  publishedAt: z.string().describe('RFC 3339.'),
  deadAt: z.string().describe('RFC 3339.'),
  headers: z.record(z.string(), z.string()).describe('Headers of the message, those that fit in 8 KiB.'),
  headersLeftOut: z.int().positive().optional().describe('How many headers did not fit.'),
  bytes: z.int().nonnegative().describe("The message's whole length."),
  data: z
    .string()
    .describe('The message in base64, at most 512 KiB of it; of a refused request in the intake at most 16 KiB.'),
});
/** Retention of dead letters. Beyond a limit the oldest are deleted: those of the subject (`perSubjectMax`) or of the whole stream (`mebibytes`). */
export const deadLettersKept = { perSubjectMax: 2_000, days: 90, mebibytes: 512 } as const;
export type DeadLetter = z.infer<typeof deadLetterSchema>;
