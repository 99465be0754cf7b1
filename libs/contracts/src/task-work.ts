import { z } from 'zod';

/** Kinds of a task's work that a bundle can contain, in order of preference. */
export const workKindSchema = z.enum(['rescued', 'branch', 'landed', 'checkpoint']);
export type WorkKind = z.infer<typeof workKindSchema>;

/** Size limit of a bundle, which is in memory while it is made, stored or sent. */
export const bundleBytesMax = 32 * 1024 * 1024;
