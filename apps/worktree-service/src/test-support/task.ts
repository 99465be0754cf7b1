/** Steps of a task for tests, from its worktree to its landing. */
import type { CommitMessage } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { land, type Landing } from '../merge/land.ts';
import { prepareMerge, type PreparedMerge } from '../merge/prepare-merge.ts';
import { message, runId, write, type Fixture } from './fixture.ts';

export type Method = 'merge' | 'squash';
export type Ready = Extract<PreparedMerge, { status: 'merged-in-store' }> & {
  taskId: string;
  taskCommit: string;
  message: CommitMessage;
};

/** Creates a task with committed files and a merge commit that is ready to land. */
export async function readyTask(
  f: Fixture,
  taskId: string,
  files: Record<string, string>,
  options: { method?: Method; repository?: string; checkout?: boolean } = {},
): Promise<Ready> {
  const { tree } = await f.prepared(taskId);
  for (const [path, content] of Object.entries(files)) write(tree, path, content);
  const committed = await f.committed(taskId);
  if (committed.status !== 'committed') throw new Error(committed.status);
  const merged = await mergeOf(f, taskId, committed.commit, options);
  if (merged.status !== 'merged-in-store') throw new Error(JSON.stringify(merged));
  return { ...merged, taskId, taskCommit: committed.commit, message: message(`merge ${taskId}`) };
}

export const mergeOf = (
  f: Fixture,
  taskId: string,
  taskCommit: string,
  options: { method?: Method; repository?: string; checkout?: boolean; attempt?: number; protect?: string[] } = {},
): Promise<PreparedMerge> =>
  prepareMerge(f.context, {
    taskId,
    runId,
    effectId: `${taskId}_merge-${options.attempt ?? 1}`,
    repository: options.repository ?? f.address,
    targetBranch: f.repository.branch,
    taskCommit,
    method: options.method ?? 'merge',
    message: message(`merge ${taskId}`),
    protect: options.protect ?? [],
    checkout: { when: options.checkout === true ? 'always' : 'never' },
    setup: null,
  });

export const landInput = (f: Fixture, ready: Ready, repository = f.address) => ({
  effectId: `land_${ready.taskId}`,
  taskId: ready.taskId,
  repository,
  targetBranch: f.repository.branch,
  expectedTip: ready.tip,
  commit: ready.commit,
});

export const landOf = (f: Fixture, ready: Ready, repository?: string, context: Context = f.context): Promise<Landing> =>
  land(context, landInput(f, ready, repository));
