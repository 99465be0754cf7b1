import { z } from 'zod';
import { landedChangeSchema } from '../merge-conflict.ts';
import { mergeMethodSchema } from '../run-request.ts';
import { taskIdSchema } from '../identifiers.ts';
import { workKindSchema } from '../task-work.ts';
import { operation, ownerSchema } from './operation.ts';

/** A folder or file of the host (`source`), and its path in a sandbox (`target`). */
export const mountSchema = z.object({ source: z.string(), target: z.string(), readOnly: z.boolean() });
export type Mount = z.infer<typeof mountSchema>;

/** Message (without the `Coppice-…` trailers) and date of a commit. The actor sets the date, so that a repeat makes the same git object. */
export const commitMessageSchema = z.object({
  type: z.string(),
  scope: z.string().nullable(),
  /** One line. */
  description: z.string(),
  body: z.string().nullable(),
  /** `Co-Authored-By`, e.g. `scripted/plan.yaml <noreply@coppice.invalid>`; null for none. */
  coAuthor: z.string().nullable(),
  /** RFC 3339. */
  date: z.string(),
});
export type CommitMessage = z.infer<typeof commitMessageSchema>;

const repository = z.string();
/** Key of a setup's sealed result, which is copied into the new folder; null without a setup. */
const setupKey = z.string().nullable();
/** Number of a task's attempt at one setup. */
const attempt = z.int();

const service = 'worktree-service';
const idempotent = { kind: 'idempotent' } as const;
const minute = 60_000;

export const worktreeOperations = {
  /** Makes a worktree and a branch for a task, and returns the mounts for its sandbox. */
  prepare: operation({
    service,
    name: 'prepare',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      baseBranch: z.string(),
      /** Part of the branch name, from the task's description: at most 30 characters of a-z, 0-9 and dashes. */
      slug: z.string(),
      setupKey,
    }),
    output: z.object({
      node: z.string(),
      branch: z.string(),
      baseCommit: z.string(),
      /** The first mount is the workspace itself, at /workspace. */
      mounts: z.array(mountSchema),
    }),
  }),
  /** Imports the files that the task's sandbox left, as one commit on the task's branch. The sandbox must be removed first. */
  commit: operation({
    service,
    name: 'commit',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, message: commitMessageSchema, protect: z.array(z.string()) }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('no-changes'),
        /** Number of new files left out because of ignore rules, counted up to a bound. */
        ignored: z.int().nonnegative().default(0),
      }),
      z.object({
        status: z.literal('committed'),
        commit: z.string(),
        tree: z.string(),
        filesChanged: z.int(),
        /** Lines; binary files don't count. */
        additions: z.int().optional(),
        deletions: z.int().optional(),
        /** Changed paths, at most 200 of them. */
        paths: z.array(z.string()),
        /** Changed paths that match `protect`: the first 50, then one entry with the number of further paths. */
        protectedPaths: z.array(z.string()),
      }),
    ]),
  }),
  /** Stores the worktree's current state under refs/coppice/checkpoint/<taskId>, not on the branch. `commit` is null if nothing changed. */
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
  /** Makes the commit that would land on the target's current tip, and a folder with exactly its tree, for verification in a fresh sandbox. */
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
      /** Patterns of paths whose changes need approval. A pattern without a slash matches at any depth. */
      protect: z.array(z.string()).default([]),
      /** When to create the folder. It isn't needed if nothing is to be verified, or if exactly this tree is verified already. */
      checkout: z.discriminatedUnion('when', [
        z.object({ when: z.literal('always') }),
        z.object({ when: z.literal('tree-differs-from'), tree: z.string() }),
        z.object({ when: z.literal('never') }),
      ]),
      /** The task's setup. Its sealed result is copied into the folder if the setup's inputs are the same in the merged tree. */
      setup: z.object({ setupKey: z.string(), inputs: z.array(z.string()), inputsHash: z.string() }).nullable(),
    }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('merged-in-store'),
        tip: z.string(),
        commit: z.string(),
        tree: z.string(),
        /** Paths that differ between the tip and the merged tree and match `protect`, in the same form as for `commit`. */
        protectedPaths: z.array(z.string()).default([]),
        /** Null if no checkout was requested. The checkout is removed together with the task's worktree. */
        checkout: z
          .object({
            mounts: z.array(mountSchema),
            /** False if the setup's inputs differ in the merged tree. Nothing was copied, and the setup has to run again before verify. */
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
        /** The conflicting files, at most 200. */
        paths: z.array(z.string()),
        /** Changes on the target since the task's base, for the first 10 of these files. Earlier versions don't send this field. */
        landed: z.array(landedChangeSchema).default([]),
      }),
    ]),
  }),
  /** Moves the target branch from `expectedTip` to `commit`, once, both for a local repository and for a remote one. */
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
      /** The commit is under refs/coppice/landed/ of the user's repository; `finishCommand` completes the landing there. */
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
      /** RFC 3339; the date of a rescue commit. */
      date: z.string(),
    }),
    /** Where the rescued work is: arguments of `git fetch` (`<store> <ref>`), or a folder. Null if no work was rescued. */
    output: z.object({ rescue: z.string().nullable() }),
  }),
  /** Resolves the inputs of a setup at the base branch's current tip. A missing input is rejected with `invalid-request`. */
  resolveSetup: operation({
    service,
    name: 'resolve-setup',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, repository, baseBranch: z.string(), inputs: z.array(z.string()) }),
    output: z.object({
      baseCommit: z.string(),
      /** Hash over paths and object ids of the inputs in the base tree; without inputs, of the whole tree. */
      inputsHash: z.string(),
      /** The node for both setup and task, since the setup's result is on one host only. Earlier versions don't send it. */
      node: z.string().optional(),
    }),
  }),
  /** Makes a checkout of the base for the setup command. Each attempt gets a new checkout. */
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
  /** Keeps the files that the setup command made and that aren't in the base tree. Its sandbox must be removed first. */
  sealSetup: operation({
    service,
    name: 'seal-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({ files: z.int() }),
  }),
  /** Removes a failed attempt's folder. Its sandbox must be removed first. */
  discardSetup: operation({
    service,
    name: 'discard-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({}),
  }),
} as const;

/** The tenant of the caller. Earlier versions don't send it; the empty tenant may use nothing if allowlists are configured. */
const tenant = z.string().default('');

/** Read-only calls to the worktree service. */
export const worktreeCalls = {
  /** Errors: `permission-denied` if the tenant may not use the repository, `repository-not-found`, `branch-not-found` (suggests similar branches). */
  inspect: {
    name: 'inspect',
    description: 'Whether a repository and branch exist.',
    input: z.object({ tenant, repository, baseBranch: z.string() }),
    output: z.object({
      /** Stable id of the repository, independent of how its path or URL was written. */
      repositoryId: z.string(),
      /** The canonical address. */
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
  /** Sent to the task's node, since no other node has the task's commits. */
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
  /** Sent to the task's node, since no other node has the task's commits. Errors: `not-found` if the task has no commit, `limit-exceeded`. */
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
