import { z } from 'zod';

/** A file, and the commits of the target that changed it, newest first and at most 3. */
export const landedChangeSchema = z.object({
  path: z.string(),
  commits: z.array(
    z.object({
      commit: z.string(),
      subject: z.string(),
      /** The task in the commit's trailer. Null if the commit has no such trailer. */
      taskId: z.string().nullable(),
    }),
  ),
});

/** `details` of a `merge-conflict`. */
export const mergeConflictSchema = z.object({
  /** The target branch and its tip commit. */
  branch: z.string(),
  tip: z.string(),
  /** The first 20 conflicting files. */
  paths: z.array(z.string()),
  /** Changes on the target since the task's base, for the first 10 of these files. */
  landed: z.array(landedChangeSchema),
});
export type MergeConflict = z.infer<typeof mergeConflictSchema>;
