import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '@coppice/testing';
import { expect, test } from 'vitest';
import { crashPoints, type CrashPoint } from './context.ts';
import { fixture, type Fixture } from './test-support/fixture.ts';

const program = join(import.meta.dirname, 'test-programs/live.ts');
const live = (f: Fixture, method: string, point = '') =>
  startProcess(program, [f.dataFolder, f.address, method, point]);

/** Expects one commit of the task, one landing, and no leftover data. */
async function expectLandedOnce(f: Fixture, method: string): Promise<void> {
  const git = (...args: string[]) => f.repository.git(...args);
  expect(await git('log', '--first-parent', '--format=%s', 'main')).toBe('feat: live\nchore: first commit');
  expect(await git('rev-list', '--count', 'main')).toBe(method === 'squash' ? '2' : '3');
  expect(await git('status', '--porcelain')).toBe('');
  expect(await f.repository.show('work.txt')).toBe('work\n');
  const [repositoryId = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  const tasksGit = join(f.dataFolder, 'repositories', repositoryId, 'tasks.git');
  const refs = await git('--git-dir', tasksGit, 'for-each-ref', '--format=%(refname)');
  expect(refs.split('\n').filter((ref) => /heads|rescue|import/.test(ref))).toEqual([]);
  expect(await git('--git-dir', tasksGit, 'fsck', '--no-dangling')).toBe('');
  for (const folder of ['worktrees', 'checkouts', 'trash', 'locks']) {
    expect([folder, readdirSync(join(f.dataFolder, folder))]).toEqual([folder, []]);
  }
}

/**
 * Reports whether the task's removal is already recorded at this point. After a crash there, a repeat only removes the
 * task.
 */
const isInRemoval = (point: CrashPoint): boolean => point === 'rescued' || point === 'worktree-removed';

const crashes = (['merge', 'squash'] as const).flatMap((method) => crashPoints.map((point) => ({ method, point })));

test.each(crashes)(
  '$method: SIGKILL at $point, then everything again: landed once, nothing left',
  async ({ method, point }) => {
    await using f = await fixture();
    await using crashing = live(f, method, point);
    expect(await crashing.exited).toMatchObject({ signal: 'SIGKILL' });
    await using repeat = live(f, method);
    const landing = isInRemoval(point) ? '' : '"status":"landed".*';
    await repeat.waitForLine(new RegExp(`^answers .*${landing}"rescue":null`));
    await repeat.exited;
    await expectLandedOnce(f, method);
  },
);

test('two processes that run the same commands at the same time land once', async () => {
  await using f = await fixture();
  await using one = live(f, 'merge');
  await using other = live(f, 'merge');
  await Promise.all([one.exited, other.exited]);
  // One process may fail because the other has already removed the worktree.
  const answers = [...one.lines, ...other.lines].filter(({ text }) => text.startsWith('answers '));
  expect(answers.length).toBeGreaterThan(0);
  await using again = live(f, 'merge');
  await again.exited;
  expect(await f.repository.git('log', '--first-parent', '--format=%s', 'main')).toBe(
    'feat: live\nchore: first commit',
  );
});
