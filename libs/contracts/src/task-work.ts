import { z } from 'zod';

/** Kinds of a task's work in a bundle, in the order of preference. */
export const workKindSchema = z.enum(['rescued', 'branch', 'landed', 'checkpoint']);
export type WorkKind = z.infer<typeof workKindSchema>;

/** Maximum size of a bundle. A bundle is in memory while it is made, stored or sent. */
export const bundleBytesMax = 32 * 1024 * 1024;
