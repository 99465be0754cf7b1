import { z } from 'zod';

/** Commits of the target that changed a file, the newest first, at most 3. */
export const landedChangeSchema = z.object({
  path: z.string(),
  commits: z.array(
    z.object({
      commit: z.string(),
      subject: z.string(),
      /** By the commit's trailer; null where it isn't a task's. */
      taskId: z.string().nullable(),
    }),
  ),
});

/** `details` of a `merge-conflict`. */
export const mergeConflictSchema = z.object({
  /** The target, and the commit at its tip that the task conflicts with. */
  branch: z.string(),
  tip: z.string(),
  /** The files, the first 20 of them. */
  paths: z.array(z.string()),
  /** What changed the first 10 of them on the target since the task's base. */
  landed: z.array(landedChangeSchema),
});
export type MergeConflict = z.infer<typeof mergeConflictSchema>;
