/**
 * Removal of a task's worktree.
 *
 * Invariants:
 * 1. Work that exists nowhere else is kept before the worktree is removed: under `refs/coppice/rescue/<taskId>/<n>` in
 *    tasks.git or, if it can't be imported, as a folder. If it can't be kept as a folder either, it is lost, and the
 *    log contains the reason.
 * 2. Verification checkouts and setup attempts are removed first. If a branch can't be kept because the disk is full,
 *    all deletions are finished before the next try, since a removal must be able to free space.
 * 3. Each step can be repeated. After a crash between two steps, the repeat finishes the removal and reports what was
 *    kept.
 * 4. The removal is recorded first, so that late commands of the task create nothing.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError, type ErrorCode } from '@coppice/contracts';
import { openRepository, storeOf, type Context } from '../context.ts';
import { isDiskFull } from '@coppice/disk';
import { createLogger } from '@coppice/telemetry';
import { checkpointRef, importTree } from '../import/import.ts';
import { formatMessage } from '../import/message.ts';
import { safeName } from '../layout.ts';
import type { Store } from '../repository/store.ts';
import { isKeptElsewhere, keepUnderRescue, lastRescue, mergedRef, rescueRefs } from '../rescue.ts';
import { forgetNotes, forgetRemovals, removePartial, upkeepLimits } from '../upkeep.ts';
import { isNeverKept, keepFolder, lastKeptFolder } from './kept-folder.ts';
import { lifeOf, noteRemoval } from './removed.ts';
import { readTaskRecord, taskFolders, withTask, worktreeMetadata, type TaskRecord } from './task-record.ts';

const log = createLogger('worktree-service');

export type RemoveInput = {
  taskId: string;
  runId: string;
  effectId: string;
  repository: string;
  keepBranch: boolean;
  /** RFC 3339. */
  date: string;
};

/**
 * `rescue` is the arguments of the `git fetch` for the kept work, or the path of the kept folder. Null if there was
 * nothing to keep.
 */
export async function remove(
  context: Context,
  input: RemoveInput,
  signal?: AbortSignal,
): Promise<{ rescue: string | null }> {
  const taskId = safeName(input.taskId, 'taskId');
  safeName(input.effectId, 'effectId');
  return withTask(
    context,
    taskId,
    async () => {
      noteRemoval(context, input.effectId);
      const record = readTaskRecord(context, taskId);
      const store =
        record === undefined ? await storeOfAddress(context, input.repository) : storeOf(context, record.repositoryId);
      context.trash.take(context.layout.checkoutsOf(taskId));
      removeSetupAttempts(context, taskId);
      const folders = taskFolders(context, taskId);
      const isRepeat = !existsSync(folders.tree);
      // The refs are read only once. The merged ref was set before the removal was requested, and the others move only
      // under the task's lock.
      const refs = store?.exists === true ? await refsOf(store, input, signal) : new Map<string, string>();
      let rescue: string | null = null;
      if (record !== undefined && store !== undefined)
        rescue = await keepUncommitted(context, store, { record, refs, input, signal });
      // False if the worktree is missing and was not kept as a folder. Then the checkpoint may be the only copy of
      // work.
      const hasKeptState = existsSync(folders.tree) || lastKeptFolder(context, taskId) !== null;
      context.reached('rescued');
      if (store !== undefined && hasKeptState) await dropAttempts(store, input, refs, signal);
      context.trash.take(folders.folder);
      context.reached('worktree-removed');
      if (store !== undefined && store.exists) {
        const metadata = worktreeMetadata(store.tasksGit, folders.tree);
        rmSync(metadata, { recursive: true, force: true });
        const branches = (known: Map<string, string>) =>
          removeBranches(context, store, { taskId, refs: known, keep: input.keepBranch, signal });
        const kept = await branches(refs).catch(async (error: unknown) => {
          if (!isDiskFull(error)) throw error;
          await context.trash.settle();
          return branches(await refsOf(store, input, signal));
        });
        rescue ??= kept;
      }
      // An interrupted removal may have kept work. So may `prepare`, when it replaced a lost worktree.
      const mayBeKept = isRepeat || [...refs.keys()].some((ref) => ref.startsWith(rescueRefs(taskId)));
      if (rescue === null && mayBeKept) rescue = await keptBefore(context, store, taskId, signal);
      await forgetOld(context, store);
      return { rescue };
    },
    signal,
  );
}

async function forgetOld(context: Context, store: Store | undefined): Promise<void> {
  await context.upkeep.daily('removals', async (nowMs) => forgetRemovals(context.layout, nowMs));
  if (store === undefined || !store.exists) return;
  await context.upkeep.daily(`notes of ${store.repositoryId}`, async (nowMs) => {
    removePartial(store.tasksGit, nowMs, upkeepLimits.partialAgeMs);
    await forgetNotes(context.git, store, nowMs);
  });
}

/** Undefined if the owner has removed the repository, or if the tenant may no longer use it. */
async function storeOfAddress(context: Context, address: string): Promise<Store | undefined> {
  try {
    return (await openRepository(context, address)).store;
  } catch (error) {
    if (error instanceof CoppiceError && goneCodes.includes(error.code)) return undefined;
    throw error;
  }
}

const goneCodes: readonly ErrorCode[] = ['repository-not-found', 'permission-denied'];

async function keepUncommitted(
  context: Context,
  store: Store,
  parts: { record: TaskRecord; refs: Map<string, string>; input: RemoveInput; signal: AbortSignal | undefined },
): Promise<string | null> {
  const { record, refs, input, signal } = parts;
  const { taskId } = input;
  const { tree } = taskFolders(context, taskId);
  if (!existsSync(tree)) return null;
  const parent = refs.get(`refs/heads/${record.branch}`) ?? record.baseCommit;
  const message = formatMessage(
    {
      type: 'chore',
      scope: null,
      description: 'rescue of uncommitted work',
      body: null,
      coAuthor: null,
      date: input.date,
    },
    input,
  );
  try {
    const made = await importTree(context, store, {
      taskId,
      parent,
      message,
      date: input.date,
      signal,
    });
    if (made.changes === null) return null;
    const ref = await keepUnderRescue(store, taskId, made.changes.commit, signal);
    return fetchable(store, ref);
  } catch (error) {
    const isRefused =
      error instanceof CoppiceError && (error.code === 'import-refused' || error.code === 'limit-exceeded');
    // A commit needs space on the disk; a rename needs none.
    if (!isRefused && !isDiskFull(error)) throw error;
    return keptAsFolder(context, taskId, tree, signal);
  }
}

/**
 * Keeps the worktree as a folder. If the worktree can never be kept, logs this and returns null. The removal continues,
 * since the worktree would otherwise fill the disk forever.
 */
async function keptAsFolder(
  context: Context,
  taskId: string,
  tree: string,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  try {
    return await keepFolder(context, taskId, tree, signal);
  } catch (error) {
    if (!isNeverKept(error)) throw error;
    log.error({ err: error, taskId }, 'uncommitted work can be neither imported nor kept as a folder; it is removed');
    return null;
  }
}

/**
 * Deletes the refs of the checkpoint and of interrupted imports. Call it only after the worktree's state was kept,
 * since these refs may be the only other copy of work.
 */
async function dropAttempts(
  store: Store,
  { taskId, effectId }: RemoveInput,
  refs: Map<string, string>,
  signal?: AbortSignal,
): Promise<void> {
  const isAttempt = (ref: string) => ref === checkpointRef(taskId) || ref.startsWith(importsOf(effectId));
  const commands = [...refs].filter(([ref]) => isAttempt(ref)).map(([ref, commit]) => `delete ${ref} ${commit}`);
  if (commands.length > 0) await store.updateRefs(commands, signal);
}

/** Finds work that an earlier run of this removal has kept. */
async function keptBefore(
  context: Context,
  store: Store | undefined,
  taskId: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const folder = lastKeptFolder(context, taskId);
  if (folder !== null || store === undefined || !store.exists) return folder;
  const ref = await lastRescue(context, store, taskId, signal);
  return ref === null ? null : fetchable(store, ref);
}

const fetchable = (store: Store, ref: string): string => `${store.tasksGit} ${ref}`;

const branchesOf = (taskId: string): string => `refs/heads/coppice/${taskId}/`;

/** Returns the prefix of the refs of all imports in this life of the task. */
const importsOf = (effectId: string): string => `refs/coppice/import/${lifeOf(effectId)}_`;

const refsOf = (store: Store, { taskId, effectId }: RemoveInput, signal?: AbortSignal): Promise<Map<string, string>> =>
  store.refs(
    [branchesOf(taskId), checkpointRef(taskId), mergedRef(taskId), rescueRefs(taskId), `${importsOf(effectId)}*`],
    signal,
  );

/** Deletes the task's branches unless `keep` is set. A tip that isn't kept elsewhere gets a rescue ref first. */
async function removeBranches(
  context: Context,
  store: Store,
  parts: { taskId: string; refs: Map<string, string>; keep: boolean; signal: AbortSignal | undefined },
): Promise<string | null> {
  const { taskId, refs, keep, signal } = parts;
  if (keep) return null;
  let rescue: string | null = null;
  for (const [ref, tip] of refs) {
    if (!ref.startsWith(branchesOf(taskId))) continue;
    if (refs.get(mergedRef(taskId)) !== tip && !(await isKeptElsewhere(context, store, taskId, tip, signal))) {
      rescue = fetchable(store, await keepUnderRescue(store, taskId, tip, signal));
    }
    await store.updateRefs([`delete ${ref} ${tip}`], signal);
  }
  return rescue;
}

function removeSetupAttempts(context: Context, taskId: string): void {
  for (const key of existsSync(context.layout.setups) ? readdirSync(context.layout.setups) : []) {
    context.trash.take(join(context.layout.setups, key, 'attempts', taskId));
  }
}
