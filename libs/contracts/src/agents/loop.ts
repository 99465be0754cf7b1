import { z } from 'zod';

const turnsDefault = 60;

/** The built-in coding agent. It works in turns, with tools in the task's sandbox. */
export const loopAgentSchema = z.strictObject({
  kind: z.literal('loop'),
  turns: z.int().min(1).max(1_000).default(turnsDefault).describe('Maximum number of turns.'),
  tokens: z
    .int()
    .min(1_000)
    .max(1_000_000_000)
    .optional()
    .describe('Maximum number of input and output tokens together, over all turns.'),
  contextTokens: z
    .int()
    .min(2_000)
    .max(10_000_000)
    .default(128_000)
    .describe("Size of the model's context in tokens. When the conversation comes close to it, it is compacted."),
});
