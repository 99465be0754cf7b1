/**
 * Turns an agent's changes in its worktree into a commit. The caller ensures that the task's sandbox has ended.
 *
 * Invariants:
 * 1. The branch moves by compare-and-set, in one transaction with `refs/coppice/done/<effectId>`. A repeat finds the
 *    result by this ref.
 * 2. The dates and the message come from the actor, so a repeat that doesn't find the result creates the same commit.
 * 3. If the worktree has no changes and the branch's tip is a commit of the same life of the task, that commit is the
 *    result. In this case, an earlier try moved the branch and failed before its reply, or git was killed after it had
 *    updated only one of the transaction's two refs.
 */
import { CoppiceError, type CommitMessage } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { storeOf, type Context } from '../context.ts';
import { spaceOf } from '../disk/space.ts';
import { nulSeparated } from '../git/git.ts';
import { safeName } from '../layout.ts';
import type { Store } from '../repository/store.ts';
import { listTree, sealedFolder } from '../worktree/checkout.ts';
import { lifeOf } from '../worktree/removed.ts';
import { readSnapshot } from '../worktree/snapshot.ts';
import { requireTaskRecord, taskFolders, withTask } from '../worktree/task-record.ts';
import { addCheckpointBytes, checkpointBytes } from './checkpoint-budget.ts';
import { writeCommit } from './fast-import.ts';
import { formatMessage, type Trailers } from './message.ts';
import { planImport } from './plan.ts';
import { printable } from './path-rules.ts';
import { protectedSince } from './protected-links.ts';

const log = createLogger('worktree-service');

const pathsMax = 200;

export type CommitInput = Trailers & { message: CommitMessage; protect: string[] };
export type Committed = {
  status: 'committed';
  commit: string;
  tree: string;
  filesChanged: number;
  additions: number;
  deletions: number;
  paths: string[];
  protectedPaths: string[];
};

/** Commits the worktree's changes to the task's branch. Throws `import-refused`, `limit-exceeded`, `not-found`. */
export async function commit(
  context: Context,
  input: CommitInput,
  signal?: AbortSignal,
): Promise<Committed | { status: 'no-changes'; ignored: number }> {
  const taskId = safeName(input.taskId, 'taskId');
  const doneRef = `refs/coppice/done/${safeName(input.effectId, 'effectId')}`;
  return withTask(
    context,
    taskId,
    async () => {
      const record = requireTaskRecord(context, taskId);
      const store = storeOf(context, record.repositoryId);
      const branch = `refs/heads/${record.branch}`;
      const refs = await store.refs([doneRef, branch], signal);
      const done = refs.get(doneRef);
      const describe = (changes: Changes) => answer(context, store, { changes, protect: input.protect, signal });
      if (done !== undefined) return describe(await changesOf(context, store, done, signal));
      const parent = refs.get(branch);
      if (parent === undefined) throw new CoppiceError('not-found', `the branch ${record.branch} is gone`);
      const message = formatMessage(input.message, { ...input, taskId });
      const made = await importTree(context, store, {
        taskId,
        parent,
        message,
        date: input.message.date,
        signal,
      });
      if (made.changes === null) {
        const isOfEarlierTry =
          parent !== record.baseCommit && (await isOfSameLife(context, store, { commit: parent, ...input }, signal));
        if (!isOfEarlierTry) return { status: 'no-changes', ignored: made.ignored };
        await store.updateRefs([`create ${doneRef} ${parent}`], signal);
        return describe(await changesOf(context, store, parent, signal));
      }
      context.reached('imported');
      const { commit: madeCommit } = made.changes;
      await store.updateRefs([`update ${branch} ${madeCommit} ${parent}`, `create ${doneRef} ${madeCommit}`], signal);
      context.reached('commit-recorded');
      return describe(made.changes);
    },
    signal,
  );
}

/**
 * Reports whether the commit was made in this life of the task: see `lifeOf`. A branch may have commits of an earlier
 * life.
 */
async function isOfSameLife(
  context: Context,
  store: Store,
  of: { commit: string; taskId: string; effectId: string },
  signal?: AbortSignal,
): Promise<boolean> {
  const format = '--format=%(trailers:key=Coppice-Task,valueonly)%(trailers:key=Coppice-Effect,valueonly)';
  const trailers = await context.git.text(['show', '--no-patch', format, of.commit, '--'], { ...store.tasks, signal });
  const [taskId = '', effectId = ''] = trailers.split('\n');
  return taskId === of.taskId && effectId !== '' && lifeOf(effectId) === lifeOf(of.effectId);
}

/** Changes of a commit relative to its first parent. Paths have one character per byte. */
type Changes = { commit: string; tree: string; additions: number; deletions: number; paths: string[] };

/**
 * Writes the worktree as a commit. The caller sets a ref to it and holds the task's lock. If nothing differs from
 * `parent`, `changes` is null and `ignored` is the number of new entries that ignore rules excluded.
 */
export async function importTree(
  context: Context,
  store: Store,
  parts: {
    taskId: string;
    parent: string;
    message: string;
    date: string;
    /** Called with the bytes of the new objects before they are moved to the store. */
    onBytes?: (bytes: number) => void;
    signal: AbortSignal | undefined;
  },
): Promise<{ changes: Changes } | { changes: null; ignored: number }> {
  const { parent, signal } = parts;
  const folders = taskFolders(context, parts.taskId);
  const tracked = await listTree(context, store, parent, signal);
  const { setupKey } = requireTaskRecord(context, parts.taskId);
  const given = {
    snapshot: readSnapshot(folders.snapshot),
    sealed: setupKey === null ? null : sealedFolder(context, setupKey),
  };
  const plan = await planImport(folders.tree, tracked, given, context.importLimits, signal);
  if (plan.drafts.length > 0)
    log.warn({ taskId: parts.taskId, paths: plan.drafts.map(printable) }, 'drafts of our own are not imported');
  const unchanged = { changes: null, ignored: plan.ignored };
  const written = await writeCommit(context.git, store, {
    tree: folders.tree,
    scratch: folders.importGit,
    plan,
    tracked,
    commit: { parent, message: parts.message, date: parts.date },
    onBytes: parts.onBytes,
    signal,
  });
  if (written === null) return unchanged;
  store.learn(written);
  const changes = await changesOf(context, store, written, signal);
  return changes.paths.length === 0 ? unchanged : { changes };
}

async function changesOf(context: Context, store: Store, revision: string, signal?: AbortSignal): Promise<Changes> {
  const { stdout } = await context.git.run(
    ['show', '-z', '--format=%H %T', '--numstat', '--no-renames', '--no-ext-diff', '--no-textconv', revision, '--'],
    { ...store.tasks, signal },
  );
  const [head = '', ...lines] = nulSeparated(stdout);
  const [commitId = '', tree = ''] = head.split(' ');
  let [additions, deletions] = [0, 0];
  const paths = lines.map((line) => {
    // Removes the newline that git prints before the first line of numbers.
    const [added = '', deleted = '', ...path] = line.trimStart().split('\t');
    // Git prints a dash for binary files.
    additions += Number(added) || 0;
    deletions += Number(deleted) || 0;
    return path.join('\t');
  });
  return { commit: commitId, tree, additions, deletions, paths };
}

async function answer(
  context: Context,
  store: Store,
  parts: { changes: Changes; protect: string[]; signal: AbortSignal | undefined },
): Promise<Committed> {
  const { commit: commitId, tree, additions, deletions, paths } = parts.changes;
  const { protect, signal } = parts;
  return {
    status: 'committed',
    commit: commitId,
    tree,
    filesChanged: paths.length,
    additions,
    deletions,
    paths: paths.slice(0, pathsMax).map(printable),
    protectedPaths: await protectedSince(context, store, { base: `${commitId}^`, paths, protect, signal }),
  };
}

export const checkpointRef = (taskId: string): string => `refs/coppice/checkpoint/${taskId}`;

/**
 * Saves the worktree's current state under `refs/coppice/checkpoint/<taskId>`. Returns null without saving if nothing
 * has changed since the branch's commit, if the disk is low on space, or if the task's checkpoints have reached their
 * size limit.
 */
export async function checkpoint(
  context: Context,
  input: Trailers & { date: string },
  signal?: AbortSignal,
): Promise<{ commit: string | null }> {
  const taskId = safeName(input.taskId, 'taskId');
  safeName(input.effectId, 'effectId');
  return withTask(
    context,
    taskId,
    async () => {
      const record = requireTaskRecord(context, taskId);
      if (checkpointBytes(context, taskId) >= context.importLimits.checkpointBytesMax) return { commit: null };
      if ((await spaceOf(context.layout.root, context.disk.freeBytesMin)).isLow) return { commit: null };
      const store = storeOf(context, record.repositoryId);
      const branch = `refs/heads/${record.branch}`;
      const refs = await store.refs([branch], signal);
      const parent = refs.get(branch);
      if (parent === undefined) throw new CoppiceError('not-found', `the branch ${record.branch} is gone`);
      const message = formatMessage(
        {
          type: 'chore',
          scope: null,
          description: 'checkpoint of a worktree',
          body: null,
          coAuthor: null,
          date: input.date,
        },
        { ...input, taskId },
      );
      const made = await importTree(context, store, {
        taskId,
        parent,
        message,
        date: input.date,
        onBytes: (bytes) => addCheckpointBytes(context, taskId, bytes),
        signal,
      });
      if (made.changes === null) return { commit: null };
      const { commit: kept } = made.changes;
      await store.updateRefs([`update ${checkpointRef(taskId)} ${kept}`], signal);
      return { commit: kept };
    },
    signal,
  );
}
