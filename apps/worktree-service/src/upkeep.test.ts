import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { manualClock } from '@coppice/testing';
import { expect, test } from 'vitest';
import { date, fixture, runId, write, type Fixture } from './test-support/fixture.ts';
import { landOf, readyTask } from './test-support/task.ts';
import { remove } from './worktree/remove.ts';

const dayMs = 24 * 3_600_000;

function age(file: string, days: number): void {
  const written = new Date(Date.now() - days * dayMs);
  utimesSync(file, written, written);
}

const removed = (f: Fixture, taskId: string) =>
  remove(f.context, { taskId, runId, effectId: `${taskId}_remove`, repository: f.address, keepBranch: false, date });

test("records of landings are removed from the user's repository after 60 days, except a record that is the only ref to a commit", async () => {
  const clock = manualClock(new Date());
  await using f = await fixture({ clock });
  const landed = async (task: string) => {
    const ready = await readyTask(f, task, { [`${task}.txt`]: task });
    expect(await landOf(f, ready)).toMatchObject({ status: 'landed' });
    return ready.commit;
  };
  const one = await landed('one');
  await landed('back');
  await f.repository.git('reset', '--quiet', '--hard', one);
  await landed('young');
  for (const [task, days] of [
    ['one', 61],
    ['back', 61],
    ['young', 59],
  ] as const)
    age(join(f.repository.path, '.git/refs/coppice/done', `land_${task}`), days);
  const notes = () => f.repository.git('for-each-ref', '--format=%(refname:lstrip=3)', 'refs/coppice/done');
  await landed('same-day');
  expect(await notes()).toBe('land_back\nland_one\nland_same-day\nland_young');
  clock.advance(dayMs);
  await landed('next-day');
  expect(await notes()).toBe('land_back\nland_next-day\nland_same-day\nland_young');
});

test('records of tasks are removed from the stores after 60 days; rescued work stays', async () => {
  const clock = manualClock(new Date());
  await using f = await fixture({ clock });
  await landOf(f, await readyTask(f, 'old', { 'old.txt': 'x' }));
  write((await f.prepared('lost')).tree, 'lost.txt', 'x');
  for (const task of ['old', 'lost']) await removed(f, task);
  const [repository = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  const tasksGit = join(f.dataFolder, 'repositories', repository, 'tasks.git');
  const refs = (await f.tasks('for-each-ref', '--format=%(refname)', 'refs/coppice')).split('\n');
  expect(refs).toHaveLength(5);
  for (const ref of refs) age(join(tasksGit, ref), 61);
  age(join(f.dataFolder, 'removed/old'), 61);
  clock.advance(dayMs);
  await f.prepared('new');
  await removed(f, 'new');
  expect(await f.tasks('for-each-ref', '--format=%(refname)', 'refs/coppice')).toBe('refs/coppice/rescue/lost/1');
  expect(readdirSync(join(f.dataFolder, 'removed'))).toEqual(['lost', 'new']);
  await expect(f.prepared('lost')).rejects.toMatchObject({ code: 'conflict' });
});
