/**
 * Creates the commit that would land on the target's current tip, and a folder with exactly the commit's tree for
 * verification.
 *
 * Invariants:
 * 1. The result is stored last. A repeat returns the stored result and never touches the folder, in which a
 *    verification may be running.
 * 2. The message and the dates come from the actor, so a repeat on the same tip creates the same commit.
 * 3. Nothing is created for a removed task. If a task is removed while this module creates files for it, this module
 *    removes the files again, since nothing else would.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError, worktreeOperations, type CommitMessage } from '@coppice/contracts';
import type { z } from 'zod';
import { openRepository, type Context } from '../context.ts';
import { nulSeparated, operand } from '../git/git.ts';
import { coppiceIdentity, formatMessage, gitDate, type Trailers } from '../import/message.ts';
import { printable } from '../import/path-rules.ts';
import { protectedSince } from '../import/protected-links.ts';
import { safeName, sandboxPaths } from '../layout.ts';
import { checkBranchName, commitId } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import { hashInputs } from '../setup/inputs.ts';
import { checkOutFiles, sealedFolder } from '../worktree/checkout.ts';
import { isRemoved, requireNotRemoved } from '../worktree/removed.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';
import { landedMeanwhile, type LandedChange } from './conflict-report.ts';
import { withTargetAttributes } from './target-attributes.ts';

const conflictPathsMax = 200;

const outputSchema = worktreeOperations.prepareMerge.output;
export type PreparedMerge = z.infer<typeof outputSchema>;
type Operation = z.infer<typeof worktreeOperations.prepareMerge.input>;
export type PrepareMergeInput = Trailers &
  Pick<Operation, 'repository' | 'targetBranch' | 'taskCommit' | 'method' | 'message' | 'checkout' | 'setup'> & {
    /** Patterns of protected files. Default: none. */
    protect?: string[];
  };

/** Ref of the task's commit for which a merge commit was created. */
export const candidateRef = (taskId: string): string => `refs/coppice/candidate/${taskId}`;

export async function prepareMerge(
  context: Context,
  input: PrepareMergeInput,
  signal?: AbortSignal,
): Promise<PreparedMerge> {
  const taskCommit = commitId(input.taskCommit, 'taskCommit');
  const effectId = safeName(input.effectId, 'effectId');
  await checkBranchName(context.git, input.targetBranch, 'targetBranch');
  const { origin, store } = await openRepository(context, input.repository);
  const folder = join(context.layout.checkoutsOf(input.taskId), effectId);
  const answer = join(folder, 'merge.json');
  return context.locks.hold(
    `merge-${effectId}`,
    async () => {
      requireNotRemoved(context, input);
      if (existsSync(answer)) return outputSchema.parse(JSON.parse(readFileSync(answer, 'utf8')));
      const { tip } = await store.fetchTip(origin, input.targetBranch, 'targetBranch', signal);
      if (!(await store.has(taskCommit, signal)))
        throw new CoppiceError('not-found', `the commit ${taskCommit} is not in the stores of this repository`);
      const merged = await merge(context, store, input, tip, signal);
      context.reached('merge-recorded');
      if (merged.status !== 'merged') return merged;
      context.trash.take(folder);
      for (const part of [context.layout.checkoutsOf(input.taskId), folder]) {
        mkdirSync(part, { recursive: true });
        chmodSync(part, 0o711);
      }
      const { commit, tree } = merged;
      const protectedPaths = await changedProtected(context, store, {
        tip,
        tree,
        protect: input.protect ?? [],
        signal,
      });
      const checkout = isWanted(input.checkout, tree)
        ? await makeCheckout(context, store, { folder, tree, effectId, setup: input.setup, signal })
        : null;
      const result: PreparedMerge = {
        status: 'merged-in-store',
        tip,
        commit,
        tree,
        protectedPaths,
        checkout,
        node: context.node,
      };
      writeFileAtomically(answer, JSON.stringify(result));
      requireStillThere(context, input);
      return result;
    },
    { signal },
  );
}

/**
 * If the task was removed, moves its checkouts to the trash and throws. A removal writes its record before it removes
 * folders, so this check misses no removal.
 */
function requireStillThere(context: Context, ids: { taskId: string; effectId: string }): void {
  if (isRemoved(context, ids.effectId)) context.trash.take(context.layout.checkoutsOf(ids.taskId));
  requireNotRemoved(context, ids);
}

const isWanted = (checkout: Operation['checkout'], tree: string): boolean =>
  checkout.when === 'always' || (checkout.when === 'tree-differs-from' && checkout.tree !== tree);

/**
 * Lists the protected files that the merge changes. The merged tree is compared, since a change in a folder that the
 * target has renamed lands under the new name.
 */
async function changedProtected(
  context: Context,
  store: Store,
  parts: { tip: string; tree: string; protect: string[]; signal: AbortSignal | undefined },
): Promise<string[]> {
  if (parts.protect.length === 0) return [];
  const { stdout } = await context.git.run(
    ['diff-tree', '-r', '-z', '--name-only', '--no-renames', '--no-ext-diff', operand(parts.tip), operand(parts.tree)],
    { ...store.tasks, signal: parts.signal },
  );
  const { tip, protect, signal } = parts;
  return protectedSince(context, store, { base: tip, paths: nulSeparated(stdout), protect, signal });
}

type Merged =
  | { status: 'merged'; commit: string; tree: string }
  | { status: 'already-merged'; tip: string }
  | { status: 'conflict'; tip: string; paths: string[]; landed: LandedChange[] };

async function merge(
  context: Context,
  store: Store,
  input: PrepareMergeInput,
  tip: string,
  signal?: AbortSignal,
): Promise<Merged> {
  const { taskCommit } = input;
  const words = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', operand(tip), operand(taskCommit)];
  const { exitCode, stdout } = await withTargetAttributes(
    context,
    store,
    { tip, name: input.effectId, signal },
    (options) => context.git.run(words, { ...options, answers: [1] }),
  );
  const [tree = '', ...conflicts] = nulSeparated(stdout);
  if (exitCode === 1) {
    const paths = [...new Set(conflicts)].filter((path) => path !== '').slice(0, conflictPathsMax);
    const landed = await landedMeanwhile(context, store, { tip, taskCommit, paths, signal });
    return { status: 'conflict', tip, paths: paths.map(printable), landed };
  }
  // The target already has the task's changes, so the commit would be empty.
  if (tree === (await store.resolve(`${tip}^{tree}`, signal))) return { status: 'already-merged', tip };
  const commit = await commitTree(context, store, {
    tree,
    parents: input.method === 'squash' ? [tip] : [tip, taskCommit],
    input,
    signal,
  });
  store.learn(commit);
  await store.updateRefs(
    [`update refs/coppice/merge/${input.effectId} ${commit}`, `update ${candidateRef(input.taskId)} ${taskCommit}`],
    signal,
  );
  return { status: 'merged', commit, tree };
}

async function commitTree(
  context: Context,
  store: Store,
  parts: {
    tree: string;
    parents: string[];
    input: { message: CommitMessage } & Trailers;
    signal: AbortSignal | undefined;
  },
): Promise<string> {
  const date = `@${gitDate(parts.input.message.date)}`;
  const { name, email } = coppiceIdentity;
  return context.git.text(['commit-tree', ...parts.parents.flatMap((parent) => ['-p', parent]), operand(parts.tree)], {
    ...store.tasks,
    input: formatMessage(parts.input.message, parts.input),
    environment: {
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
      GIT_COMMITTER_DATE: date,
    },
    signal: parts.signal,
  });
}

async function makeCheckout(
  context: Context,
  store: Store,
  parts: { folder: string; tree: string; effectId: string; setup: Operation['setup']; signal: AbortSignal | undefined },
) {
  const folder = join(parts.folder, 'tree');
  mkdirSync(folder, { mode: 0o755 });
  const { setup, signal } = parts;
  // A setup of other inputs doesn't match this tree, so the verification would be meaningless.
  const setupIsCurrent =
    setup === null || (await hashInputs(context, store, parts.tree, setup.inputs, signal)) === setup.inputsHash;
  const sealed = setup === null || !setupIsCurrent ? null : sealedFolder(context, setup.setupKey);
  if (sealed !== null && !existsSync(sealed))
    throw new CoppiceError('not-found', `setup ${setup?.setupKey} isn't sealed here`);
  await checkOutFiles(context, {
    store,
    tree: parts.tree,
    folder,
    gitOptions: { gitDir: store.tasksGit, indexFile: join(parts.folder, 'index') },
    setup: sealed,
    signal,
  });
  return {
    mounts: [{ source: folder, target: sandboxPaths.workspace, readOnly: false }],
    setupIsCurrent,
  };
}
