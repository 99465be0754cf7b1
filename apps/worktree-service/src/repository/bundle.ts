import { createHash } from 'node:crypto';
import type { Bus } from '@coppice/bus';
import { CoppiceError, artifactNames, bucketOfArtifact, bundleBytesMax } from '@coppice/contracts';
import type { WorkKind } from '@coppice/contracts';
import { systemClock, type Clock } from '@coppice/service';
import { openRepository, type Context } from '../context.ts';
import { checkpointRef } from '../import/import.ts';
import { lastRescue, mergedRef } from '../rescue.ts';
import { commitId } from './origin.ts';
import type { Store } from './store.ts';

export type BundleInput = {
  tenant: string;
  taskId: string;
  repository: string;
  baseCommit: string;
  branch: string | null;
  isOver: boolean;
  whole: boolean;
};

type Work = { ref: string; work: WorkKind };

/**
 * Stores a task's work as a bundle. The bundle's name derives from its content and the current hour. Throws `not-found`, `limit-exceeded`.
 */
export async function bundle(
  context: Context,
  bus: Bus,
  input: BundleInput,
  signal?: AbortSignal,
  clock: Clock = systemClock,
): Promise<Work & { commit: string; bundle: string }> {
  const base = commitId(input.baseCommit, 'baseCommit');
  const { store } = await openRepository(context, input.repository);
  const work = store.exists ? await workOf(context, store, input, signal) : null;
  if (work === null) throw new CoppiceError('not-found', `task ${input.taskId} has no commit`);
  const bytes = await written(context, store, { ref: work.ref, without: input.whole ? null : base }, signal);
  const name = artifactNames.bundle(input, createHash('sha256').update(bytes).digest('hex'), clock.now());
  const objects = await bus.objects(bucketOfArtifact(name));
  await objects.put(name, bytes);
  return { ...work, commit: commitIn(bytes, work.ref), bundle: name };
}

/** Reads the commit from the header of the bundle, since the ref may have moved before the bundle was created. */
function commitIn(bytes: Buffer, ref: string): string {
  const lines = bytes.subarray(0, bytes.indexOf('\n\n')).toString('utf8').split('\n');
  const commit = lines.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0];
  if (commit === undefined) throw new CoppiceError('internal', `the bundle does not hold ${ref}`);
  return commit;
}

/**
 * Selects the ref to bundle: the newest rescue ref if the task has ended, else the task's branch, else its landed
 * commit, else its checkpoint.
 */
async function workOf(
  context: Context,
  store: Store,
  { taskId, branch, isOver }: BundleInput,
  signal?: AbortSignal,
): Promise<Work | null> {
  const candidates: [WorkKind, string | null][] = [
    ['rescued', isOver ? await lastRescue(context, store, taskId, signal) : null],
    ['branch', branch === null ? null : `refs/heads/${branch}`],
    ['landed', mergedRef(taskId)],
    ['checkpoint', checkpointRef(taskId)],
  ];
  for (const [work, ref] of candidates) {
    if (ref !== null && (await store.resolve(ref, signal)) !== undefined) return { ref, work };
  }
  return null;
}

/**
 * Creates the bundle with one thread, so that the same commits always give the same bytes and thus the same artifact
 * name.
 */
async function written(
  context: Context,
  store: Store,
  { ref, without }: { ref: string; without: string | null },
  signal?: AbortSignal,
): Promise<Buffer> {
  const revisions = [ref, ...(without === null ? [] : [`^${without}`])];
  const { stdout, truncated } = await context.git.run(
    ['-c', 'pack.threads=1', 'bundle', 'create', '--quiet', '-', ...revisions],
    { ...store.tasks, outputBytesMax: bundleBytesMax, truncate: true, signal },
  );
  if (!truncated) return stdout;
  throw new CoppiceError(
    'limit-exceeded',
    `as a git bundle it has more than ${bundleBytesMax} bytes; it is ${ref} of ${store.tasksGit} on node ${context.node}`,
  );
}
