import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openContext } from '../open.ts';
import { date, fixture, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { landOf, readyTask } from '../test-support/task.ts';
import { pushBranch } from '../merge/push-branch.ts';
import { checkpoint } from '../import/import.ts';
import { remove } from './remove.ts';

const removeInput = (f: Fixture, task = taskId, keepBranch = false) => ({
  taskId: task,
  runId,
  effectId: `remove_${task}`,
  repository: f.address,
  keepBranch,
  date,
});
const removed = (f: Fixture, task = taskId, keepBranch = false) => remove(f.context, removeInput(f, task, keepBranch));
const branches = (f: Fixture) => f.tasks('for-each-ref', '--format=%(refname:short)', 'refs/heads');

/** Gets what is kept in the way that the answer tells. */
async function fetched(f: Fixture, rescue: string | null): Promise<string> {
  await f.repository.git('fetch', '-q', ...(rescue ?? '').split(' '));
  return f.repository.git('rev-parse', 'FETCH_HEAD');
}

test('nothing is kept where nothing would be lost', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  expect(await removed(f)).toEqual({ rescue: null });
  expect(existsSync(tree)).toBe(false);
  expect(await branches(f)).toBe('');
  expect(await f.tasks('worktree', 'list')).not.toContain(taskId);
  await f.context.trash.settle();
  expect(readdirSync(join(f.dataFolder, 'trash'))).toEqual([]);
  expect(await removed(f)).toEqual({ rescue: null });
  expect((await f.prepared()).tree).toBe(tree);
});

test('a checkpoint goes with its worktree, whose last state is kept; without the worktree it stays', async () => {
  await using f = await fixture();
  for (const lost of [false, true]) {
    const { tree } = await f.prepared();
    write(tree, 'one.txt', 'saved');
    await checkpoint(f.context, { taskId, runId, effectId: `checkpoint-${lost}`, date });
    write(tree, 'one.txt', 'last');
    if (lost) rmSync(tree, { recursive: true });
    const { rescue } = await removed(f);
    expect(await f.tasks('for-each-ref', '--format=%(refname)', 'refs/coppice/checkpoint')).toBe(
      lost ? `refs/coppice/checkpoint/${taskId}` : '',
    );
    if (lost) expect(await f.tasks('show', `refs/coppice/checkpoint/${taskId}:one.txt`)).toBe('saved');
    else expect(await f.repository.show('one.txt', await fetched(f, rescue))).toBe('last');
  }
});

test('uncommitted work is kept, with the commits below it', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  await f.committed();
  write(tree, 'two.txt', 'not committed');
  const { rescue } = await removed(f);
  expect(rescue).toMatch(/tasks\.git refs\/coppice\/rescue\/task1\/1$/);
  const kept = await fetched(f, rescue);
  expect(await f.repository.show('two.txt', kept)).toBe('not committed');
  expect(await f.repository.show('one.txt', kept)).toBe('committed');
  expect(await branches(f)).toBe('');
});

test('commits that landed nowhere are kept', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  const result = await f.committed();
  const { rescue } = await removed(f);
  expect(result).toMatchObject({ commit: await fetched(f, rescue) });
});

test('a branch is kept on request', async () => {
  await using f = await fixture();
  const { tree, branch } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  await f.committed();
  expect(await removed(f, taskId, true)).toEqual({ rescue: null });
  expect(await branches(f)).toBe(branch);
});

test.each(['merge', 'squash'] as const)('what landed by %s needs no keeping', async (method) => {
  await using f = await fixture({ bare: true });
  await landOf(f, await readyTask(f, taskId, { 'x.txt': 'x' }, { method }));
  expect(await removed(f)).toEqual({ rescue: null });
  expect(await f.tasks('for-each-ref', 'refs/coppice/rescue')).toBe('');
});

test('neither does what was pushed', async () => {
  await using f = await fixture({ bare: true });
  const { tree, branch } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const result = await f.committed();
  await pushBranch(f.context, {
    taskId,
    repository: f.address,
    branch,
    commit: 'commit' in result ? result.commit : '',
  });
  expect(await removed(f)).toEqual({ rescue: null });
});

test('work that can not be imported is kept as a folder', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'x');
  symlinkSync('/etc/passwd', join(tree, 'link'));
  const { rescue } = await removed(f);
  expect(rescue).toBe(join(f.dataFolder, 'rescue', `${taskId}.1`));
  expect(readFileSync(join(rescue ?? '', 'one.txt'), 'utf8')).toBe('x');
  expect(await removed(f)).toEqual({ rescue: null });
});

test('a crash after keeping, then the repeat: kept once, removed', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'x');
  const crashing = await openContext({
    dataFolder: f.dataFolder,
    node: 'node1',
    reached: (at) => {
      if (at === 'rescued') throw new Error('crash');
    },
  });
  await expect(remove(crashing, removeInput(f))).rejects.toThrow('crash');
  expect(await removed(f)).toMatchObject({ rescue: expect.stringMatching(/rescue\/task1\/1$/) });
  expect((await f.tasks('for-each-ref', 'refs/coppice/rescue')).split('\n')).toHaveLength(1);
  expect(existsSync(tree)).toBe(false);
});

test('what was left in the trash is swept at the next start, folders without permissions too', async () => {
  await using f = await fixture();
  const left = join(f.dataFolder, 'trash/left');
  mkdirSync(join(left, 'locked/inside'), { recursive: true });
  execFileSync('chmod', ['000', join(left, 'locked')]);
  const next = await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  await next.trash.settle();
  expect(existsSync(left)).toBe(false);
});

test('a repository that is gone does not hold removal up', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  rmSync(f.repository.path, { recursive: true });
  expect(await removed(f)).toEqual({ rescue: null });
  expect(existsSync(tree)).toBe(false);
  expect(await removed(f)).toEqual({ rescue: null });
});
