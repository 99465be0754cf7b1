/**
 * Runs the whole life of a task, from worktree to removal, with the same effect ids in every run. At a given crash
 * point, the program kills itself with SIGKILL. If the task's removal began in an earlier run, the program only removes
 * the task.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CommitMessage } from '@coppice/contracts';
import { commit } from '../import/import.ts';
import { land } from '../merge/land.ts';
import { prepareMerge } from '../merge/prepare-merge.ts';
import { openContext } from '../open.ts';
import { write } from '../test-support/fixture.ts';
import { prepare } from '../worktree/prepare.ts';
import { remove } from '../worktree/remove.ts';
import { isRemoved } from '../worktree/removed.ts';

const [dataFolder = '', repository = '', method = '', point = ''] = process.argv.slice(2);
const context = await openContext({
  dataFolder,
  node: 'node1',
  reached: (at) => {
    if (at === point) process.kill(process.pid, 'SIGKILL');
  },
});
const ids = (effectId: string) => ({ taskId: 'task1', runId: 'run1', effectId });
const date = '2026-02-03T04:05:06Z';
const message: CommitMessage = { type: 'feat', scope: null, description: 'live', body: null, coAuthor: null, date };

const print = (answers: unknown) => process.stdout.write(`answers ${JSON.stringify(answers)}\n`);
const removeTask = async () => {
  const removal = await remove(context, { ...ids('life_4'), repository, keepBranch: false, date });
  await context.trash.settle();
  return removal;
};

if (isRemoved(context, 'life_0')) {
  print({ removal: await removeTask() });
  process.exit();
}
const { mounts } = await prepare(context, {
  ...ids('life_0'),
  repository,
  baseBranch: 'main',
  slug: 'live',
  setupKey: null,
});
const tree = mounts[0]?.source ?? '';
if (!existsSync(join(tree, 'work.txt'))) write(tree, 'work.txt', 'work\n');
const committed = await commit(context, { ...ids('life_1'), message, protect: [] });
if (committed.status !== 'committed') throw new Error(committed.status);
const merged = await prepareMerge(context, {
  ...ids('life_2'),
  repository,
  targetBranch: 'main',
  taskCommit: committed.commit,
  method: method === 'squash' ? 'squash' : 'merge',
  message,
  checkout: { when: 'always' },
  setup: null,
});
if (merged.status === 'conflict') throw new Error(merged.status);
// After a crash that follows the landing, `prepareMerge` returns `already-merged`.
const landing =
  merged.status === 'already-merged'
    ? { status: 'landed', commit: merged.tip }
    : await land(context, {
        ...ids('life_3'),
        repository,
        targetBranch: 'main',
        expectedTip: merged.tip,
        commit: merged.commit,
      });
print({ commit: committed.commit, landing, removal: await removeTask() });
