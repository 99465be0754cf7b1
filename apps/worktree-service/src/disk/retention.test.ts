import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { manualClock } from '@coppice/testing';
import { expect, test } from 'vitest';
import { checkpoint } from '../import/import.ts';
import { openContext } from '../open.ts';
import { prepareSetup, sealSetup } from '../setup/setup.ts';
import { date, fixture, runId, write, type Fixture } from '../test-support/fixture.ts';
import { prepare } from '../worktree/prepare.ts';
import { remove } from '../worktree/remove.ts';
import { keptFolders } from './kept-folders.ts';
import type { Expiry } from './removed.ts';
import { readDiskReport } from './report.ts';
import { Retention } from './retention.ts';
import { diskSettingsDefault, type DiskSettings } from './settings.ts';
import { Sizes } from './sizes.ts';

const mebibyte = 1024 ** 2;
const dayMs = 24 * 3_600_000;

const removed = (f: Fixture, taskId: string) =>
  remove(f.context, { taskId, runId, effectId: `${taskId}_remove`, repository: f.address, keepBranch: false, date });

/** Runs a round on the fixture's data folder with these settings. */
async function round(f: Fixture, disk: Partial<DiskSettings> = {}, clock = manualClock(new Date())) {
  const context = await openContext({
    dataFolder: f.dataFolder,
    node: 'node1',
    disk: { ...diskSettingsDefault, freeBytesMin: 0, ...disk },
  });
  const gone: Expiry[] = [];
  const errors: unknown[] = [];
  const retention = new Retention(context, {
    clock,
    onRemoved: (expiry) => gone.push(expiry),
    onError: (error) => errors.push(error),
  });
  retention.request();
  await retention.settle();
  await context.trash.settle();
  expect(errors).toEqual([]);
  return { gone, report: retention.report };
}

async function leaveFolder(f: Fixture, taskId: string, bytes: number): Promise<string> {
  const { tree } = await f.prepared(taskId);
  write(tree, 'large', Buffer.alloc(bytes, 'x'));
  write(tree, 'git~1', 'no file of a repository may be called that');
  await expect(f.committed(taskId)).rejects.toMatchObject({ code: 'import-refused' });
  // An agent can set the mtime. If it counted, a folder with an mtime in the future would stay the newest forever.
  const far = new Date('2099-01-01T00:00:00Z');
  utimesSync(tree, far, far);
  return (await removed(f, taskId)).rescue ?? '';
}

test('kept folders stay within their size limit: the oldest are removed first, the newest stays whatever its size', async () => {
  await using f = await fixture();
  const folders: string[] = [];
  for (const task of ['one', 'two', 'three']) folders.push(await leaveFolder(f, task, 3 * mebibyte));
  const [one = '', two = '', three = ''] = folders;
  const { gone } = await round(f, { rescueBytesMax: 7 * mebibyte });
  expect(gone).toMatchObject([{ what: one, reason: 'size' }]);
  expect(readdirSync(f.context.layout.rescue)).toEqual([basename(three), basename(two)]);
  await round(f, { rescueBytesMax: mebibyte });
  expect(readdirSync(f.context.layout.rescue)).toEqual([basename(three)]);
  expect(readFileSync(join(three, 'large')).length).toBe(3 * mebibyte);
  expect(readDiskReport(join(f.dataFolder, '..', 'nowhere'))).toBeNull();
});

test('empty files count towards the size limit of kept folders', async () => {
  await using f = await fixture();
  for (const taskId of ['one', 'two']) {
    const { tree } = await f.prepared(taskId);
    write(tree, 'git~1', 'no file of a repository may be called that');
    execFileSync('sh', ['-c', 'mkdir many; cd many; seq 5000 | xargs touch'], { cwd: tree });
    await removed(f, taskId);
  }
  const [two = '', one = ''] = (await keptFolders(f.context, new Sizes())).map(({ path }) => path);
  const { gone } = await round(f, { rescueBytesMax: 10 * mebibyte });
  expect(gone).toMatchObject([{ what: one, reason: 'size' }]);
  expect(readdirSync(f.context.layout.rescue)).toEqual([basename(two)]);
});

test('refs that keep work are removed by age, after being reported; an interrupted import is removed once no command can repeat it', async () => {
  await using f = await fixture();
  await leaveFolder(f, 'folder', 1);
  const living = await f.prepared('living');
  write(living.tree, 'x.txt', 'x');
  await checkpoint(f.context, { taskId: 'living', runId, effectId: 'living_1', date });
  write((await f.prepared('lost')).tree, 'x.txt', 'x');
  await removed(f, 'lost');
  const head = await f.repository.head();
  for (const ref of ['import/lost_1', 'import/living_2', 'checkpoint/lost'])
    await f.tasks('update-ref', `refs/coppice/${ref}`, head);
  const kept = () => f.tasks('for-each-ref', '--format=%(refname:lstrip=2)', 'refs/coppice/');
  const all = ['checkpoint/living', 'checkpoint/lost', 'import/living_2', 'import/lost_1', 'rescue/lost/1'];
  const clock = manualClock(new Date());
  clock.advance(6 * dayMs);
  expect((await round(f, {}, clock)).report?.goesSoon).toEqual([]);
  expect((await kept()).split('\n')).toEqual(all);
  clock.advance(2 * dayMs);
  await round(f, {}, clock);
  expect((await kept()).split('\n')).toEqual(all.filter((ref) => !ref.startsWith('import')));
  clock.advance(80 * dayMs);
  const { report } = await round(f, {}, clock);
  expect(report?.goesSoon.map(({ what }) => what).toSorted()).toEqual([
    expect.stringContaining('tasks.git refs/coppice/checkpoint/lost'),
    expect.stringContaining('tasks.git refs/coppice/rescue/lost/1'),
    expect.stringContaining('rescue/folder.1'),
  ]);
  clock.advance(5 * dayMs);
  await round(f, {}, clock);
  expect(await kept()).toBe('checkpoint/living');
  expect(readdirSync(f.context.layout.rescue)).toEqual([]);
  expect(existsSync(living.tree)).toBe(true);
});

const seal = async (f: Fixture, setupKey: string) => {
  const input = { taskId: 'setup', setupKey, attempt: 1 };
  const baseCommit = await f.repository.head();
  const prepared = await prepareSetup(f.context, { ...input, repository: f.address, baseCommit });
  if (prepared.status !== 'prepared') throw new Error(prepared.status);
  write(prepared.mounts[0]?.source ?? '', 'node_modules/large', Buffer.alloc(3 * mebibyte, 'x'));
  await sealSetup(f.context, input);
};
const withSetup = (f: Fixture, taskId: string, setupKey: string) =>
  prepare(f.context, {
    taskId,
    effectId: `${taskId}_prepare`,
    repository: f.address,
    baseBranch: 'main',
    slug: 'slug',
    setupKey,
  });

test('sealed setups are removed by total size and by time since their last use, except those that a task uses', async () => {
  await using f = await fixture();
  await f.prepared('any');
  await removed(f, 'any');
  for (const key of ['unused', 'used', 'recent', 'newest']) await seal(f, key);
  await withSetup(f, 'user', 'used');
  const { setups } = f.context.layout;
  const hoursAgo = (key: string, hours: number) => {
    const at = new Date(Date.now() - hours * 3_600_000);
    utimesSync(join(setups, key, 'sealed.json'), at, at);
  };
  hoursAgo('used', 9);
  hoursAgo('unused', 8);
  hoursAgo('recent', 0.5);
  // The setup `recent` was used within the last hour, so a task may be about to record its use.
  const { gone } = await round(f, { setupsBytesMax: mebibyte });
  expect(gone).toMatchObject([{ what: 'the sealed setup unused', reason: 'size' }]);
  expect(readdirSync(setups)).toEqual(['newest', 'recent', 'used']);
  await expect(withSetup(f, 'late', 'unused')).rejects.toMatchObject({
    code: 'not-found',
    details: { what: 'setup' },
  });
  hoursAgo('recent', 2);
  await removed(f, 'user');
  await removed(f, 'late');
  await round(f, { setupsAgeMsMax: 5 * 3_600_000 });
  expect(readdirSync(setups)).toEqual(['newest', 'recent']);
  expect((await round(f, { freeBytesMin: Number.MAX_SAFE_INTEGER })).gone).toMatchObject([{ reason: 'low-disk' }]);
  expect(readdirSync(setups)).toEqual(['newest']);
});

test('garbage of a store is collected once the repository has no task; objects that refs reach stay', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared('writer');
  for (const count of [1, 2, 3]) {
    const random = execFileSync('head', ['-c', String(2 * mebibyte), '/dev/urandom'], { maxBuffer: 4 * mebibyte });
    write(tree, 'random', random);
    await checkpoint(f.context, { taskId: 'writer', runId, effectId: `writer_${count}`, date });
  }
  const bytes = async () => {
    const lines = (await f.tasks('count-objects', '-v')).split('\n');
    const of = (name: string) => Number(lines.find((line) => line.startsWith(`${name}: `))?.split(' ')[1]);
    return (of('size') + of('size-pack')) * 1024;
  };
  /** Sets all times in the stores to two hours ago. */
  const age = () =>
    execFileSync('find', [join(f.dataFolder, 'repositories'), '-exec', 'touch', '-d', '-2 hours', '{}', '+']);
  const low = { freeBytesMin: Number.MAX_SAFE_INTEGER };
  age();
  await round(f, low);
  expect(await bytes()).toBeGreaterThan(6 * mebibyte);
  const { rescue } = await removed(f, 'writer');
  age();
  await round(f, low);
  expect(await bytes()).toBeLessThan(2.5 * mebibyte);
  expect(await f.tasks('fsck', '--no-dangling')).toBe('');
  const [repository = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  expect(readlinkSync(join(f.dataFolder, 'repositories', repository, 'tasks.git/shallow'))).toBe(
    '../origin.git/shallow',
  );
  await f.repository.git('fetch', '-q', ...(rescue ?? '').split(' '));
  expect(await f.repository.git('cat-file', '-s', 'FETCH_HEAD:random')).toBe(String(2 * mebibyte));
  write((await f.prepared('next')).tree, 'next.txt', 'next');
  expect(await f.committed('next')).toMatchObject({ status: 'committed' });
});

test('stores of shallow repositories are not collected', async () => {
  await using f = await fixture();
  await f.prepared('one');
  await removed(f, 'one');
  const [repository = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  const store = join(f.dataFolder, 'repositories', repository);
  const list = `${await f.repository.head()}\n`;
  writeFileSync(join(store, 'origin.git/shallow'), list);
  writeFileSync(join(store, 'garbage'), Buffer.alloc(2 * mebibyte, 'x'));
  await f.tasks('hash-object', '-w', join(store, 'garbage'));
  await round(f, { freeBytesMin: Number.MAX_SAFE_INTEGER });
  expect(readFileSync(join(store, 'origin.git/shallow'), 'utf8')).toBe(list);
  expect(existsSync(join(store, 'tasks.git/coppice-collected'))).toBe(false);
});
