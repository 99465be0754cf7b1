import { z } from 'zod';

/** What of a task a bundle holds, in the order of preference. */
export const workKindSchema = z.enum(['rescued', 'branch', 'landed', 'checkpoint']);
export type WorkKind = z.infer<typeof workKindSchema>;

/** Of one bundle: it is held in memory where it is made, stored and handed on. */
export const bundleBytesMax = 32 * 1024 * 1024;
