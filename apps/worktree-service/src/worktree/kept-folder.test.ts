import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { date, fixture, runId, taskId, type Fixture } from '../test-support/fixture.ts';
import { remove } from './remove.ts';

const removed = (f: Fixture, signal?: AbortSignal) =>
  remove(
    f.context,
    { taskId, runId, effectId: `${taskId}_remove`, repository: f.address, keepBranch: false, date },
    signal,
  );

const plants: Record<string, (tree: string) => void> = {
  'a name of 255 bytes that stands for .git': (tree) => writeFileSync(join(tree, `git~${'0'.repeat(251)}`), ''),
  'the name that a repository is renamed to is taken': (tree) => {
    mkdirSync(join(tree, 'd/.git'), { recursive: true });
    writeFileSync(join(tree, 'd/.git.disabled'), '');
  },
  'more than a thousand folders below the depth limit': (tree) => {
    writeFileSync(join(tree, 'git~1'), '');
    writeFileSync(join(tree, 'moved.7'), '');
    const deep = join(tree, ...Array.from({ length: 99 }, () => 'd'));
    for (let number = 0; number <= 1_002; number++) mkdirSync(join(deep, String(number)), { recursive: true });
  },
};

test.each(Object.keys(plants))('%s: the worktree is kept as a folder', async (name) => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  plants[name]?.(tree);
  const { rescue } = await removed(f);
  expect(existsSync(tree)).toBe(false);
  expect(rescue).toBe(join(f.dataFolder, 'rescue', `${taskId}.1`));
  const listed = execFileSync('find', [rescue ?? '', '(', '-name', '.git', '-o', '-name', 'git~*[0-9]', ')'], {
    encoding: 'utf8',
  });
  expect(listed).toBe('');
});

test('with many names that stand for .git, the removal can be cancelled, and a repeat finishes it', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  const count = 3_000;
  execFileSync('sh', ['-c', `seq ${count} | sed s/^/git~/ | xargs touch`], { cwd: tree });
  const stop = new AbortController();
  const disabled = () => readdirSync(tree).filter((name) => name.endsWith('.disabled')).length;
  const watch = setInterval(() => {
    if (disabled() > 0) stop.abort();
  }, 1);
  await expect(removed(f, stop.signal)).rejects.toMatchObject({ code: 'cancelled' });
  clearInterval(watch);
  expect(disabled()).toBeLessThan(count);
  const { rescue } = await removed(f);
  expect(readdirSync(rescue ?? '').filter((name) => name.endsWith('.disabled'))).toHaveLength(count + 1);
}, 60_000);

test('a worktree that can not be kept in any way is removed', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  writeFileSync(join(tree, 'git~1'), '');
  for (let number = 1; number <= 1_000; number++)
    mkdirSync(join(f.dataFolder, 'rescue', `${taskId}.${number}`), { recursive: true });
  expect(await removed(f)).toEqual({ rescue: null });
  expect(existsSync(tree)).toBe(false);
});
