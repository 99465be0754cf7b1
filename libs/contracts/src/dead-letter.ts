import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';

/** What was given up on, on `coppice.deadletter.<source>`. */
export const deadLetterSchema = z.object({
  subject: z.string().describe('Where the message was published.'),
  reason: wireErrorSchema.describe('Why it was given up on.'),
  deliveryCount: z.int().nonnegative().describe('How often it was delivered.'),
  publishedAt: z.string().describe('RFC 3339.'),
  deadAt: z.string().describe('RFC 3339.'),
  headers: z.record(z.string(), z.string()).describe('Headers of the message.'),
  bytes: z.int().nonnegative().describe("The message's whole length."),
  data: z.string().describe('The message in base64, at most 512 KiB of it.'),
});
export type DeadLetter = z.infer<typeof deadLetterSchema>;
