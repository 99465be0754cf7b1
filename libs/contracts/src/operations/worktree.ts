import { z } from 'zod';
import { landedChangeSchema } from '../merge-conflict.ts';
import { mergeMethodSchema } from '../run-request.ts';
import { taskIdSchema } from '../identifiers.ts';
import { workKindSchema } from '../task-work.ts';
import { operation, ownerSchema } from './operation.ts';

/** A folder or file of the host, and where a sandbox shows it. */
export const mountSchema = z.object({ source: z.string(), target: z.string(), readOnly: z.boolean() });
export type Mount = z.infer<typeof mountSchema>;

/** What the commit says, apart from what git adds. Dates come from the actor, so that a repeat makes the same object. */
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
/** The sealed result of a setup, to be copied into the new folder; null for none. */
const setupKey = z.string().nullable();
/** Counts a task's tries of one setup. */
const attempt = z.int();

const service = 'worktree-service';
const idempotent = { kind: 'idempotent' } as const;
const minute = 60_000;

export const worktreeOperations = {
  /** A worktree and branch for a task, with what a sandbox must mount. */
  prepare: operation({
    service,
    name: 'prepare',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({
      owner: ownerSchema,
      repository,
      baseBranch: z.string(),
      /** Part of the branch's name, made from the task's description: at most 30 characters of a-z, 0-9 and dashes. */
      slug: z.string(),
      setupKey,
    }),
    output: z.object({
      node: z.string(),
      branch: z.string(),
      baseCommit: z.string(),
      /** The first is the workspace itself, at /workspace. */
      mounts: z.array(mountSchema),
    }),
  }),
  /** Import of what the task's sandbox left, as one commit on the task's branch. The sandbox must be gone. */
  commit: operation({
    service,
    name: 'commit',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, message: commitMessageSchema, protect: z.array(z.string()) }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('no-changes'),
        /** New files that were left out because ignore rules name them, counted up to a bound. */
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
        /** Changed paths that `protect` matches: 50 of them, and how many more, as one entry that no others have. */
        protectedPaths: z.array(z.string()),
      }),
    ]),
  }),
  /** The worktree's present state, kept under refs/coppice/checkpoint/<taskId>, off the branch. `commit` is null where nothing changed. */
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
  /** The commit that would land on the target's present tip, and a folder with exactly its tree, for a fresh sandbox to verify. */
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
      /** Patterns of paths that a person has to approve. Without a slash, a pattern matches at any depth. */
      protect: z.array(z.string()).default([]),
      /** No folder where nothing is to be verified, or where this very tree has been. */
      checkout: z.discriminatedUnion('when', [
        z.object({ when: z.literal('always') }),
        z.object({ when: z.literal('tree-differs-from'), tree: z.string() }),
        z.object({ when: z.literal('never') }),
      ]),
      /** The task's setup: its sealed result is copied into the folder where the merged tree's inputs are still those that it was made from. */
      setup: z.object({ setupKey: z.string(), inputs: z.array(z.string()), inputsHash: z.string() }).nullable(),
    }),
    output: z.discriminatedUnion('status', [
      z.object({
        status: z.literal('merged-in-store'),
        tip: z.string(),
        commit: z.string(),
        tree: z.string(),
        /** Paths that differ between the tip and the merged tree and that `protect` matches, told in the same way. */
        protectedPaths: z.array(z.string()).default([]),
        /** Null where no checkout was asked for. Removed with the task. */
        checkout: z
          .object({
            mounts: z.array(mountSchema),
            /** False where the setup's inputs differ in the merged tree: nothing was copied, so it has to run again before verify. */
            setupIsCurrent: z.boolean(),
          })
          .nullable(),
        node: z.string(),
      }),
      /** What the task changed is in the target already. */
      z.object({ status: z.literal('already-merged'), tip: z.string() }),
      z.object({
        status: z.literal('conflict'),
        tip: z.string(),
        /** At most 200. */
        paths: z.array(z.string()),
        /** What changed the first 10 of them on the target since the task's base. An earlier version doesn't tell. */
        landed: z.array(landedChangeSchema).default([]),
      }),
    ]),
  }),
  /** Move the target from `expectedTip` to `commit`, once, wherever the target is. */
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
      /** Kept under refs/coppice/landed/ of the user's repository; `finishCommand` completes it there. */
      z.object({
        status: z.literal('landed-pending'),
        commit: z.string(),
        reason: z.string(),
        finishCommand: z.string(),
      }),
    ]),
  }),
  /** Push the task's branch to the origin, for a pull request. */
  pushBranch: operation({
    service,
    name: 'push-branch',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, repository, branch: z.string(), commit: z.string() }),
    output: z.object({ branch: z.string() }),
  }),
  /** Remove a task's worktree; what would be lost is first kept under refs/coppice/rescue/. */
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
    /** What to give to `git fetch` to get the unmerged work that was kept (`<store> <ref>`), or a folder; null where there was none. */
    output: z.object({ rescue: z.string().nullable() }),
  }),
  /** What a setup of the base branch's present tip would be made from. An input that isn't there is an `invalid-request`. */
  resolveSetup: operation({
    service,
    name: 'resolve-setup',
    repeat: idempotent,
    timeLimitMs: 5 * minute,
    input: z.object({ owner: ownerSchema, repository, baseBranch: z.string(), inputs: z.array(z.string()) }),
    output: z.object({
      baseCommit: z.string(),
      /** Over paths and object ids of the inputs in the base's tree; of the whole tree where there are no inputs. */
      inputsHash: z.string(),
      /** Where the setup is to be made, and the task to be done: its result lies on one host. An earlier version doesn't tell. */
      node: z.string().optional(),
    }),
  }),
  /** A checkout of the base, on which the setup command runs; a new one for each attempt of a task. */
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
  /** Keep what the setup command left that isn't in the base tree. Its sandbox must be gone. */
  sealSetup: operation({
    service,
    name: 'seal-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({ files: z.int() }),
  }),
  /** Remove a failed attempt's folder. Its sandbox must be gone. */
  discardSetup: operation({
    service,
    name: 'discard-setup',
    repeat: idempotent,
    timeLimitMs: 10 * minute,
    input: z.object({ owner: ownerSchema, repository, setupKey: z.string(), attempt }),
    output: z.object({}),
  }),
} as const;

/** Whose question it is. An asker of an earlier version doesn't say: then nothing is allowed to it where there are lists of what is. */
const tenant = z.string().default('');

/** Questions to the worktree service that change nothing. */
export const worktreeCalls = {
  /** Answers `permission-denied` for what the tenant may not name, `repository-not-found`, or `branch-not-found`, which names near branches. */
  inspect: {
    name: 'inspect',
    description: 'Whether a repository and branch exist.',
    input: z.object({ tenant, repository, baseBranch: z.string() }),
    output: z.object({
      /** Stable for one repository however it was named. */
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
    /** One for each, in order. */
    output: z.object({ finished: z.array(z.boolean()) }),
    deadlineMs: 5_000,
  },
  /** Asked of the task's node, which alone has its commits. */
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
  /** Asked of the task's node, which alone has its commits. `not-found` where nothing of the task is a commit; `limit-exceeded`. */
  bundle: {
    name: 'bundle',
    description: "A task's work as a git bundle, stored as an artifact.",
    input: z.object({
      tenant,
      taskId: taskIdSchema,
      repository,
      baseCommit: z.string(),
      /** Null where it has no commit of the task. */
      branch: z.string().nullable(),
      /** What was kept of it comes first then. */
      isOver: z.boolean(),
      /** With all of its history, for a repository that lacks the base commit. */
      whole: z.boolean(),
    }),
    output: z.object({ bundle: z.string(), ref: z.string(), commit: z.string(), work: workKindSchema }),
    deadlineMs: 55_000,
  },
} as const;
