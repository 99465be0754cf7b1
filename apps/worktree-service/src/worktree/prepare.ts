/**
 * Creates a worktree and a branch for a task.
 *
 * Invariants:
 * 1. `record.json` is written last. If it exists, a repeat never touches the worktree, since an agent may be using it.
 *    If it doesn't exist, files in the folder are left from a crash. No agent has seen these files, so the worktree is
 *    created again.
 * 2. A fetch is the only long step that locks the whole repository.
 * 3. If the task had a worktree that was lost, its work in the stores is rescued before anything replaces it.
 * 4. The use of the repository and the setup is recorded before the use: see living-tasks.ts.
 * 5. A removed task gets no worktree, since nothing would remove that worktree. A command for such a task is late or a
 *    repeat.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, type Mount } from '@coppice/contracts';
import { openRepository, type Context } from '../context.ts';
import { noteUses } from '../disk/living-tasks.ts';
import { noteSetupUse } from '../disk/setups.ts';
import { handOver } from '../folders.ts';
import { checkpointRef } from '../import/import.ts';
import { safeName, sandboxPaths } from '../layout.ts';
import { checkBranchName } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';
import { isKeptElsewhere, keepUnderRescue } from '../rescue.ts';
import { writeAgentGit } from './agent-git.ts';
import { checkOut, sealedFolder } from './checkout.ts';
import { requireNotRemoved } from './removed.ts';
import { writeSnapshot } from './snapshot.ts';
import {
  readTaskRecord,
  taskFolders,
  withTask,
  worktreeMetadata,
  writeTaskRecord,
  type TaskRecord,
} from './task-record.ts';

const slugPattern = /^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/;
/**
 * Time in milliseconds in which the file system's clock advances at least once. `prepare` waits for it. Otherwise an
 * agent could write a file without changing the file's ctime.
 */
const clockTickMs = 20;

export type PrepareInput = {
  taskId: string;
  effectId: string;
  repository: string;
  baseBranch: string;
  slug: string;
  setupKey: string | null;
};
export type Prepared = { node: string; branch: string; baseCommit: string; mounts: Mount[] };

export async function prepare(context: Context, input: PrepareInput, signal?: AbortSignal): Promise<Prepared> {
  const taskId = safeName(input.taskId, 'taskId');
  if (!slugPattern.test(input.slug)) {
    throw new CoppiceError(
      'invalid-request',
      `slug: expected at most 30 characters of a-z, 0-9 and dashes, got ${JSON.stringify(input.slug.slice(0, 60))}`,
    );
  }
  await checkBranchName(context.git, input.baseBranch, 'baseBranch');
  const { origin, store } = await openRepository(context, input.repository);
  return withTask(
    context,
    taskId,
    async () => {
      requireNotRemoved(context, input);
      const branch = `coppice/${taskId}/${input.slug}`;
      let record = readTaskRecord(context, taskId);
      if (record === undefined) {
        const { tip } = await store.fetchTip(origin, input.baseBranch, 'baseBranch', signal);
        record = { repositoryId: store.repositoryId, branch, baseCommit: tip, setupKey: input.setupKey };
        const objectFormat = origin.kind === 'local' ? origin.objectFormat : 'sha1';
        await make(context, store, { taskId, record, objectFormat, signal });
      } else if (record.repositoryId !== store.repositoryId || record.branch !== branch) {
        throw new CoppiceError('conflict', `task ${taskId} has a worktree of another repository or branch`);
      }
      return { node: context.node, branch, baseCommit: record.baseCommit, mounts: mounts(context, store, taskId) };
    },
    signal,
  );
}

function mounts(context: Context, store: Store, taskId: string): Mount[] {
  const folders = taskFolders(context, taskId);
  return [
    { source: folders.tree, target: sandboxPaths.workspace, readOnly: false },
    { source: folders.gitLink, target: sandboxPaths.gitLink, readOnly: true },
    { source: folders.agentGit, target: sandboxPaths.agentGit, readOnly: false },
    { source: store.originGit, target: sandboxPaths.origin, readOnly: true },
  ];
}

async function make(
  context: Context,
  store: Store,
  parts: {
    taskId: string;
    record: TaskRecord;
    objectFormat: string;
    signal: AbortSignal | undefined;
  },
): Promise<void> {
  const { taskId, record, signal } = parts;
  const { repositoryId, setupKey } = record;
  const folders = taskFolders(context, taskId);
  const metadata = worktreeMetadata(store.tasksGit, folders.tree);
  context.trash.take(folders.folder);
  mkdirSync(folders.folder, { recursive: true, mode: 0o711 });
  chmodSync(folders.folder, 0o711);
  await noteUses(context, taskId, { repositoryId, setupKey }, signal);
  const setup = setupKey === null ? null : sealedFolder(context, setupKey);
  if (setupKey !== null && setup !== null) {
    if (!existsSync(setup))
      throw new CoppiceError('not-found', `setup ${setupKey} isn't sealed here`, { details: { what: 'setup' } });
    noteSetupUse(context, setupKey, new Date());
  }

  await makeBranch(context, store, taskId, record, signal);
  linkWorktree(metadata, folders.tree, record.branch);
  context.reached('worktree-added');

  const snapshot = await checkOut(context, {
    store,
    tree: record.baseCommit,
    folder: folders.tree,
    gitOptions: { gitDir: metadata },
    setup,
    signal,
  });
  const settledAt = performance.now() + clockTickMs;
  const indexFile = `${metadata}/index`;
  writeAgentGit(folders.agentGit, {
    branch: record.branch,
    baseCommit: record.baseCommit,
    indexFile,
    objectFormat: parts.objectFormat,
    originGit: store.originGit,
  });
  await handOver(folders.agentGit, context.sandboxOwner);
  writeFileSync(folders.gitLink, `gitdir: ${sandboxPaths.agentGit}\n`);
  chmodSync(folders.gitLink, 0o444);
  // Git rejects a `.git` file of another user, so the sandboxes' user owns this file. That user can't change the file,
  // since it is mounted read-only and its folder isn't writable for the user.
  if (context.sandboxOwner !== null) chownSync(folders.gitLink, context.sandboxOwner.uid, context.sandboxOwner.gid);
  writeSnapshot(folders.snapshot, snapshot);
  context.reached('checked-out');
  await sleep(Math.max(0, settledAt - performance.now()));
  writeTaskRecord(context, taskId, record);
}

/**
 * Creates the branch. An existing checkpoint, or a branch at another commit, comes from an earlier worktree: see
 * invariant 3.
 */
async function makeBranch(
  context: Context,
  store: Store,
  taskId: string,
  record: TaskRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ref = `refs/heads/${record.branch}`;
  const checkpoint = checkpointRef(taskId);
  const refs = await store.refs([ref, checkpoint], signal);
  const saved = refs.get(checkpoint);
  if (saved !== undefined) {
    await keepUnderRescue(store, taskId, saved, signal);
    await store.updateRefs([`delete ${checkpoint} ${saved}`], signal);
  }
  const old = refs.get(ref);
  if (old === record.baseCommit) return;
  if (old !== undefined && !(await isKeptElsewhere(context, store, taskId, old, signal)))
    await keepUnderRescue(store, taskId, old, signal);
  await store.updateRefs([`update ${ref} ${record.baseCommit} ${old ?? '0'.repeat(record.baseCommit.length)}`], signal);
}

/**
 * Creates a linked worktree without files, as gitrepository-layout(5) describes it. `git worktree add` would take ten
 * times as long and can't run concurrently in one repository.
 */
function linkWorktree(metadata: string, tree: string, branch: string): void {
  rmSync(metadata, { recursive: true, force: true });
  mkdirSync(metadata, { recursive: true });
  writeFileSync(join(metadata, 'HEAD'), `ref: refs/heads/${branch}\n`);
  writeFileSync(join(metadata, 'commondir'), '../..\n');
  writeFileSync(join(metadata, 'gitdir'), `${join(tree, '.git')}\n`);
  mkdirSync(tree, { mode: 0o755 });
  writeFileSync(join(tree, '.git'), `gitdir: ${metadata}\n`);
}
