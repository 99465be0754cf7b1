/**
 * Setups. A setup command, for example one that installs packages, runs once per key in a sandbox. Its result is then
 * copied for each task.
 *
 * Invariants:
 * 1. A sealed result is complete, since it appears by a rename. It is never mounted in a sandbox and never changes.
 *    disk/setups.ts removes unused results.
 * 2. The first attempt that is sealed wins, and others are discarded. Each attempt of each task has its own folder, so
 *    files of a failed command are never reused.
 * 3. A result that can't be kept is rejected before any file of it is moved.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CoppiceError, type Mount } from '@coppice/contracts';
import { z } from 'zod';
import { openRepository, storeOf, type Context } from '../context.ts';
import { setupLock } from '../disk/living-tasks.ts';
import { noteSetupUse } from '../disk/setups.ts';
import { handOver } from '../folders.ts';
import { safeName, sandboxPaths } from '../layout.ts';
import { commitId } from '../repository/origin.ts';
import { checkOutFiles, listTree, sealedFolder } from '../worktree/checkout.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';
import { requireKeepable } from './keepable.ts';
import { moveUntracked } from './move-untracked.ts';

const attemptSchema = z.object({ repositoryId: z.string(), baseCommit: z.string() });
const sealSchema = z.object({ files: z.int() });

/** `attempt` is the number of the task's attempt. */
export type SetupAttempt = { taskId: string; setupKey: string; attempt: number };
export type PrepareSetupInput = SetupAttempt & { repository: string; baseCommit: string };
export type PreparedSetup = { status: 'sealed' } | { status: 'prepared'; mounts: Mount[]; node: string };

function attemptFolders(context: Context, { taskId, setupKey, attempt }: SetupAttempt) {
  const number = safeName(String(attempt), 'attempt');
  const folder = join(context.layout.setup(setupKey), 'attempts', safeName(taskId, 'taskId'), number);
  return { folder, tree: join(folder, 'tree'), record: join(folder, 'record.json'), result: join(folder, 'result') };
}

const withSetup = <T>(context: Context, setupKey: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
  context.locks.hold(setupLock(safeName(setupKey, 'setupKey')), work, { signal });

const withAttempt = <T>(context: Context, input: SetupAttempt, work: () => Promise<T>, signal?: AbortSignal) =>
  context.locks.hold(`setup-${input.setupKey}-${input.taskId}-${input.attempt}`, work, { signal });

export async function prepareSetup(
  context: Context,
  input: PrepareSetupInput,
  signal?: AbortSignal,
): Promise<PreparedSetup> {
  const baseCommit = commitId(input.baseCommit, 'baseCommit');
  if (existsSync(sealedFolder(context, input.setupKey))) {
    noteSetupUse(context, input.setupKey, new Date());
    return { status: 'sealed' };
  }
  const { store } = await openRepository(context, input.repository);
  if (!store.exists || !(await store.has(baseCommit, signal)))
    throw new CoppiceError('not-found', `the commit ${baseCommit} is not in the stores of this repository`);
  const attempt = attemptFolders(context, input);
  return withAttempt(
    context,
    input,
    async () => {
      if (!existsSync(attempt.record)) {
        context.trash.take(attempt.folder);
        mkdirSync(attempt.tree, { recursive: true, mode: 0o711 });
        await checkOutFiles(context, {
          store,
          tree: baseCommit,
          folder: attempt.tree,
          gitOptions: { gitDir: store.tasksGit, indexFile: join(attempt.folder, 'index') },
          setup: null,
          signal,
        });
        writeFileAtomically(attempt.record, JSON.stringify({ repositoryId: store.repositoryId, baseCommit }));
      }
      const mounts = [{ source: attempt.tree, target: sandboxPaths.workspace, readOnly: false }];
      return { status: 'prepared' as const, mounts, node: context.node };
    },
    signal,
  );
}

/**
 * Keeps everything that isn't in the base tree. The caller ensures that the setup's sandbox has ended. Throws
 * `not-found` if nothing was prepared, and the errors of `requireKeepable`.
 */
export async function sealSetup(
  context: Context,
  input: SetupAttempt,
  signal?: AbortSignal,
): Promise<{ files: number }> {
  return withSetup(
    context,
    input.setupKey,
    async () => {
      const sealed = sealedFolder(context, input.setupKey);
      const seal = join(context.layout.setup(input.setupKey), 'sealed.json');
      const attempt = attemptFolders(context, input);
      if (!existsSync(sealed)) {
        if (!existsSync(attempt.record))
          throw new CoppiceError('not-found', `setup ${input.setupKey} was not prepared by this task`);
        const record = attemptSchema.parse(JSON.parse(readFileSync(attempt.record, 'utf8')));
        const tracked = await listTree(context, storeOf(context, record.repositoryId), record.baseCommit, signal);
        await requireKeepable(attempt.tree, signal);
        await moveUntracked(context.sandboxOwner, attempt.tree, attempt.result, new Set(tracked.keys()), signal);
        let files = 0;
        await handOver(attempt.result, null, { onFile: () => files++ });
        writeFileAtomically(seal, JSON.stringify({ files }));
        renameSync(attempt.result, sealed);
      }
      takeAttempt(context, attempt.folder);
      return sealSchema.parse(JSON.parse(readFileSync(seal, 'utf8')));
    },
    signal,
  );
}

/** Removes the folder of a failed attempt, if it exists. The caller ensures that the attempt's sandbox has ended. */
export async function discardSetup(context: Context, input: SetupAttempt, signal?: AbortSignal): Promise<{}> {
  const { folder } = attemptFolders(context, input);
  const take = async () => takeAttempt(context, folder);
  await withSetup(context, input.setupKey, () => withAttempt(context, input, take, signal), signal);
  return {};
}

function takeAttempt(context: Context, folder: string): void {
  context.trash.take(folder);
  try {
    rmdirSync(dirname(folder));
  } catch {
    // The task has other attempts, or its folder doesn't exist.
  }
}
