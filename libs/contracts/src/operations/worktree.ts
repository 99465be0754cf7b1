import { z } from 'zod';
import { landedChangeSchema } from '../merge-conflict.ts';
import { mergeMethodSchema } from '../run-request.ts';
import { taskIdSchema } from '../identifiers.ts';
import { workKindSchema } from '../task-work.ts';
import { operation, ownerSchema } from './operation.ts';

/** A folder or file of the host (`source`) with its path in a sandbox (`target`). */
export const mountSchema = z.object({ source: z.string(), target: z.string(), readOnly: z.boolean() });
export type Mount = z.infer<typeof mountSchema>;

/**
 * Message and date of a commit. The message doesn't include the `Coppice-…` trailers. The actor sets the date, so that
 * a repeat makes the same git object.
 */
export const commitMessageSchema = z.object({
  type: z.string(),
  scope: z.string().nullable(),
  /** One line. */
  description: z.string(),
  body: z.string().nullable(),
  /**
   * Value of the trailer `Co-Authored-By`, such as `scripted/plan.yaml <noreply@coppice.invalid>`. Null for no trailer.
   */
  coAuthor: z.string().nullable(),
  /** RFC 3339. */
  date: z.string(),
});
export type CommitMessage = z.infer<typeof commitMessageSchema>;

const repository = z.string();
/** Key of the setup whose sealed result is copied into the new folder. Null without a setup. */
const setupKey = z.string().nullable();
/** Number of the attempt at one setup. */
const attempt = z.int();

const service = 'worktree-service';
const idempotent = { kind: 'idempotent' } as const;
const minute = 60_000;

export const worktreeOperations = {
  /** Makes a worktree and a branch for a task. Returns the mounts for its sandbox. */
  prepare: operation({
    service,
    name: 'prepare',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      baseBranch: z.string(),
      /** Part of the branch name, made from the task's description. At most 30 characters of a-z, 0-9 and dashes. */
      slug: z.string(),
      setupKey,
    }),
    output: z.object({
      node: z.string(),
      branch: z.string(),
      baseCommit: z.string(),
      /** The first mount is the workspace, at /workspace. */
      mounts: z.array(mountSchema),
    }),
  }),
  /**
   * Makes one commit on the task's branch from the files that the task's sandbox left. The sandbox must be removed
   * first.
   */
  commit: operation({
    service,
    name: 'commit',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, message: commitMessageSchema, protect: z.array(z.string()) }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('no-changes'),
        /** Number of new files that ignore rules left out, up to a maximum. */
        ignored: z.int().nonnegative().default(0),
      }),
      z.object({
        status: z.literal('committed'),
        commit: z.string(),
        tree: z.string(),
        filesChanged: z.int(),
        /** Added lines, without binary files. */
        additions: z.int().optional(),
        deletions: z.int().optional(),
        /** Changed paths, at most 200. */
        paths: z.array(z.string()),
        /** Changed paths that match `protect`. After the first 50, one entry has the number of further paths. */
        protectedPaths: z.array(z.string()),
      }),
    ]),
  }),
  /**
   * Stores the worktree's current state under refs/coppice/checkpoint/<taskId>, not on the branch. `commit` is null if
   * nothing changed.
   */
  checkpoint: operation({
    service,
    name: 'checkpoint',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      /** RFC 3339. */
      date: z.string(),
    }),
    output: z.object({ commit: z.string().nullable() }),
  }),
  /**
   * Makes the commit that would land on the target's current tip. Also makes a folder with exactly its tree, for
   * verification in a fresh sandbox.
   */
  prepareMerge: operation({
    service,
    name: 'prepare-merge',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      targetBranch: z.string(),
      taskCommit: z.string(),
      method: mergeMethodSchema,
      message: commitMessageSchema,
      /** Patterns of paths whose changes need approval. A pattern without a slash matches that name in every folder. */
      protect: z.array(z.string()).default([]),
      /**
       * When to create the folder. It isn't needed if nothing is verified, or if exactly this tree is already verified.
       */
      checkout: z.discriminatedUnion('when', [
        z.object({ when: z.literal('always') }),
        z.object({ when: z.literal('tree-differs-from'), tree: z.string() }),
        z.object({ when: z.literal('never') }),
      ]),
      /**
       * The task's setup. If its inputs are the same in the merged tree, its sealed result is copied into the folder.
       */
      setup: z.object({ setupKey: z.string(), inputs: z.array(z.string()), inputsHash: z.string() }).nullable(),
    }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('merged-in-store'),
        tip: z.string(),
        commit: z.string(),
        tree: z.string(),
        /**
         * Paths that match `protect` and differ between the tip and the merged tree, in the same form as for `commit`.
         */
        protectedPaths: z.array(z.string()).default([]),
        /** Null if no checkout was requested. The checkout is removed with the task's worktree. */
        checkout: z
          .object({
            mounts: z.array(mountSchema),
            /**
             * False if the setup's inputs differ in the merged tree. The folder then has no sealed result, and the
             * setup has to run again before verify.
             */
            setupIsCurrent: z.boolean(),
          })
          .nullable(),
        node: z.string(),
      }),
      /** The target already contains the task's change. */
      z.object({ status: z.literal('already-merged'), tip: z.string() }),
      z.object({
        status: z.literal('conflict'),
        tip: z.string(),
        /** Conflicting files, at most 200. */
        paths: z.array(z.string()),
        /**
         * Changes on the target since the task's base, for the first 10 of these files. Missing in results of earlier
         * versions.
         */
        landed: z.array(landedChangeSchema).default([]),
      }),
    ]),
  }),
  /**
   * Moves the target branch from `expectedTip` to `commit`, in a local or a remote repository. A repeat doesn't move it
   * again.
   */
  land: operation({
    service,
    name: 'land',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      targetBranch: z.string(),
      expectedTip: z.string(),
      commit: z.string(),
    }),
    output: z.discriminatedUnion('status', [
      z.object({ status: z.literal('landed'), commit: z.string() }),
      z.object({ status: z.literal('moved'), tip: z.string() }),
      /**
       * The commit is under refs/coppice/landed/ of the user's repository. `finishCommand` completes the landing there.
       */
      z.object({
        status: z.literal('landed-pending'),
        commit: z.string(),
        reason: z.string(),
        finishCommand: z.string(),
      }),
    ]),
  }),
  /** Pushes the task's branch to the origin, for a pull request. */
  pushBranch: operation({
    service,
    name: 'push-branch',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, repository, branch: z.string(), commit: z.string() }),
    output: z.object({ branch: z.string() }),
  }),
  /** Removes a task's worktree. Work that would be lost is first stored under refs/coppice/rescue/. */
  remove: operation({
    service,
    name: 'remove',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      keepBranch: z.boolean(),
      /** Date of a rescue commit. RFC 3339. */
      date: z.string(),
    }),
    /**
     * The place of the rescued work, as arguments of `git fetch` (`<store> <ref>`) or as a folder. Null if no work was
     * rescued.
     */
    output: z.object({ rescue: z.string().nullable() }),
  }),
  /**
   * Resolves the inputs of a setup at the base branch's current tip. A missing input is rejected with
   * `invalid-request`.
   */
  resolveSetup: operation({
    service,
    name: 'resolve-setup',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, repository, baseBranch: z.string(), inputs: z.array(z.string()) }),
    output: z.object({
      baseCommit: z.string(),
      /**
       * Hash over the paths and object ids of the inputs in the base tree. Without inputs, the hash is over the whole
       * tree.
       */
      inputsHash: z.string(),
      /**
       * The node for setup and task, since the setup's result is on one host only. Missing in results of earlier
       * versions.
       */
      node: z.string().optional(),
    }),
  }),
  /** Makes a checkout of the base for one attempt at the setup. */
  prepareSetup: operation({
    service,
    name: 'prepare-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, baseCommit: z.string(), setupKey: z.string(), attempt }),
    output: z.discriminatedUnion('status', [
      z.object({ status: z.literal('sealed') }),
      z.object({ status: z.literal('prepared'), mounts: z.array(mountSchema), node: z.string() }),
    ]),
  }),
  /**
   * Seals the files that the setup command made and that aren't in the base tree. The setup's sandbox must be removed
   * first.
   */
  sealSetup: operation({
    service,
    name: 'seal-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({ files: z.int() }),
  }),
  /** Removes a failed attempt's folder. The attempt's sandbox must be removed first. */
  discardSetup: operation({
    service,
    name: 'discard-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({}),
  }),
} as const;

/**
 * The tenant of the caller, empty for callers of earlier versions. If allowlists are configured, the empty tenant may
 * use nothing.
 */
const tenant = z.string().default('');

/** Read-only calls to the worktree service. */
export const worktreeCalls = {
  /**
   * Errors: `permission-denied` if the tenant may not use the repository, `repository-not-found`, and
   * `branch-not-found`, which suggests similar branches.
   */
  inspect: {
    name: 'inspect',
    description: 'Whether a repository and branch exist.',
    input: z.object({ tenant, repository, baseBranch: z.string() }),
    output: z.object({
      /** Id of the repository. It doesn't depend on how its path or URL is written. */
      repositoryId: z.string(),
      /** Canonical path or URL of the repository. */
      repository: z.string(),
      baseCommit: z.string(),
    }),
    deadlineMs: 20_000,
  },
  finishedLandings: {
    name: 'finished-landings',
    description: 'Which landings that waited for a person are finished: the branch has the commit. Changes nothing.',
    input: z.object({
      tenant,
      landings: z
        .array(z.object({ repository, branch: z.string(), commit: z.string(), finishCommand: z.string() }))
        .max(500),
    }),
    /** One value for each landing, in order. */
    output: z.object({ finished: z.array(z.boolean()) }),
    deadlineMs: 5_000,
  },
  /** The request goes to the task's node, since no other node has the task's commits. */
  diff: {
    name: 'diff',
    description: "A task's change as a unified patch.",
    input: z.object({
      tenant,
      repository,
      baseCommit: z.string(),
      commit: z.string(),
      bytesMax: z.int().positive(),
    }),
    output: z.object({ patch: z.string(), truncated: z.boolean() }),
    deadlineMs: 30_000,
  },
  /**
   * Errors: `not-found` if the task has no commit, and `limit-exceeded`. The request goes to the task's node, since no
   * other node has the task's commits.
   */
  bundle: {
    name: 'bundle',
    description: "A task's work as a git bundle, stored as an artifact.",
    input: z.object({
      tenant,
      taskId: taskIdSchema,
      repository,
      baseCommit: z.string(),
      /** The task's branch. Null if the task has no commit on it. */
      branch: z.string().nullable(),
      /** True if the task has ended. Rescued work is then preferred. */
      isOver: z.boolean(),
      /** True if the bundle must include the whole history, for a repository that lacks the base commit. */
      whole: z.boolean(),
    }),
    output: z.object({ bundle: z.string(), ref: z.string(), commit: z.string(), work: workKindSchema }),
    deadlineMs: 55_000,
  },
} as const;
