import { z } from 'zod';
import { repositoryPathSchema } from '../repository-path.ts';

/** An agent that makes one model call and writes the model's text to a file. */
export const promptAgentSchema = z.strictObject({
  kind: z.literal('prompt'),
  file: repositoryPathSchema.describe('Path of the file that the completion is written to.'),
});
