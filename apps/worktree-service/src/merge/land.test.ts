import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { startProcess } from '@coppice/testing';
import { expect, test } from 'vitest';
import type { CrashPoint } from '../context.ts';
import { finishedLandings } from './finish-command.ts';
import { fixture, shell, type Fixture } from '../test-support/fixture.ts';
import { landInput, landOf, mergeOf, readyTask } from '../test-support/task.ts';

async function renameBranch(f: Fixture, name: string): Promise<void> {
  await f.repository.git('branch', '-m', f.repository.branch, name);
  f.repository.branch = name;
}

const subjects = (f: Fixture, ref = 'main') => f.repository.git('log', '--first-parent', '--format=%s', ref);

test('a clean checkout is fast-forwarded with its files', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'new.txt': 'new' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head()).toBe(ready.commit);
  expect(readFileSync(join(f.repository.path, 'new.txt'), 'utf8')).toBe('new');
  expect(await f.repository.git('status', '--porcelain')).toBe('');
  expect(await f.repository.git('log', '-1', '--format=%P')).toBe(`${ready.tip} ${ready.taskCommit}`);
});

test('untracked files of the user do not delay a landing, unless the landing has files of the same names', async () => {
  await using f = await fixture();
  writeFileSync(join(f.repository.path, 'mine.txt'), 'mine');
  expect(await landOf(f, await readyTask(f, 'one', { 'new.txt': 'new' }))).toMatchObject({ status: 'landed' });
  writeFileSync(join(f.repository.path, 'second.txt'), 'mine');
  const result = await landOf(f, await readyTask(f, 'two', { 'second.txt': 'theirs' }));
  expect(result).toMatchObject({
    status: 'landed-pending',
    reason: expect.stringMatching(/git refuses .*second\.txt/),
  });
  expect(readFileSync(join(f.repository.path, 'second.txt'), 'utf8')).toBe('mine');
});

test('a dirty checkout is not touched; later landings build on the pending one, and one command finishes them', async () => {
  await using f = await fixture();
  const file = join(f.repository.path, 'README.md');
  appendFileSync(file, 'in progress');
  const before = [
    await f.repository.git('status', '--porcelain'),
    await f.repository.head(),
    readFileSync(file, 'utf8'),
    lstatSync(file).mtimeMs,
  ];
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  const pending = await landOf(f, one);
  expect(pending).toMatchObject({
    status: 'landed-pending',
    commit: one.commit,
    reason: expect.stringMatching(/aren't committed/),
  });
  expect(await landOf(f, one)).toMatchObject({ status: 'landed-pending', commit: one.commit });
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  expect(two.tip).toBe(one.commit);
  const both = await landOf(f, two);
  expect(both).toMatchObject({ status: 'landed-pending' });
  expect([
    await f.repository.git('status', '--porcelain'),
    await f.repository.head(),
    readFileSync(file, 'utf8'),
    lstatSync(file).mtimeMs,
  ]).toEqual(before);
  await f.repository.git('commit', '-qam', 'my own');
  if (pending.status !== 'landed-pending' || both.status !== 'landed-pending') throw new Error(both.status);
  const repository = f.repository.path;
  const landingOf = ({ commit, finishCommand }: typeof pending) => ({
    repository,
    branch: 'main',
    commit,
    finishCommand,
  });
  const landings = [landingOf(pending), landingOf(both), { ...landingOf(pending), repository: '/nowhere' }];
  expect(await finishedLandings(f.context, { landings })).toEqual({ finished: [false, false, false] });
  await shell(pending.finishCommand, '/');
  // For a command that repairs a checkout, the branch doesn't show whether the user has run it.
  landings.push({ ...landingOf(pending), finishCommand: `git -C / read-tree -m -u ${pending.commit} HEAD` });
  expect(await finishedLandings(f.context, { landings })).toEqual({ finished: [true, false, false, false] });
  expect(await f.repository.git('ls-tree', '--name-only', 'main')).toBe('README.md\none.txt');
  await shell(both.finishCommand, '/');
  expect(await f.repository.git('ls-tree', '--name-only', 'main')).toBe('README.md\none.txt\ntwo.txt');
  const three = await readyTask(f, 'three', { 'three.txt': '3' });
  expect(await landOf(f, three)).toEqual({ status: 'landed', commit: three.commit });
  expect(await f.repository.git('for-each-ref', 'refs/coppice/landed')).toBe('');
});

test('the leftover ref of a deleted branch a does not block a landing on a/b, and vice versa', async () => {
  await using f = await fixture();
  await f.repository.git('update-ref', 'refs/coppice/landed/a', await f.repository.head());
  await renameBranch(f, 'a/b');
  appendFileSync(join(f.repository.path, 'README.md'), 'in progress');
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  expect(await landOf(f, one)).toMatchObject({ status: 'landed-pending', commit: one.commit });
  expect(await f.repository.git('rev-parse', 'refs/coppice/landed/a%2Fb')).toBe(one.commit);
  await renameBranch(f, 'a');
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  expect(await landOf(f, two)).toMatchObject({ status: 'landed-pending', commit: two.commit });
});

test('a pending landing of an earlier version is built on and finished under its new ref name', async () => {
  await using f = await fixture();
  await renameBranch(f, 'team/main');
  appendFileSync(join(f.repository.path, 'README.md'), 'in progress');
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  await landOf(f, one);
  const [flat, nested] = ['refs/coppice/landed/team%2Fmain', 'refs/coppice/landed/team/main'];
  await f.repository.git('update-ref', '-d', flat);
  await f.repository.git('update-ref', nested, one.commit);
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  expect(two.tip).toBe(one.commit);
  const landing = await landOf(f, two);
  expect(await f.repository.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/coppice/landed')).toBe(
    `${flat} ${two.commit}`,
  );
  await f.repository.git('commit', '-qam', 'my own');
  if (landing.status !== 'landed-pending') throw new Error(landing.status);
  await shell(landing.finishCommand, '/');
  expect(await f.repository.git('ls-tree', '--name-only', 'HEAD')).toBe('README.md\none.txt\ntwo.txt');
});

test('a landing that the user finished and then reset is not landed again with the next task', async () => {
  await using f = await fixture();
  const base = await f.repository.head();
  appendFileSync(join(f.repository.path, 'README.md'), 'in progress');
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  const landing = await landOf(f, one);
  if (landing.status !== 'landed-pending') throw new Error(landing.status);
  await f.repository.git('commit', '-qam', 'my own');
  await shell(landing.finishCommand, '/');
  await f.repository.git('reset', '-q', '--hard', base);
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  expect(two.tip).toBe(base);
  expect(await landOf(f, two)).toEqual({ status: 'landed', commit: two.commit });
  expect(await f.repository.git('ls-tree', '--name-only', 'main')).toBe('README.md\ntwo.txt');
});

test('a pending commit stays reachable when the user continues without it', async () => {
  await using f = await fixture();
  appendFileSync(join(f.repository.path, 'README.md'), 'in progress');
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  await landOf(f, one);
  await f.repository.git('commit', '-qam', 'another way');
  appendFileSync(join(f.repository.path, 'README.md'), 'again');
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  expect(await landOf(f, two)).toMatchObject({ status: 'landed-pending' });
  expect(await f.repository.git('rev-parse', `refs/coppice/superseded/${one.commit}`)).toBe(one.commit);
});

test('a branch that is not checked out moves without a checkout', async () => {
  await using f = await fixture();
  await f.repository.git('switch', '-qc', 'other');
  appendFileSync(join(f.repository.path, 'README.md'), 'in progress');
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head('main')).toBe(ready.commit);
  expect(existsSync(join(f.repository.path, 'one.txt'))).toBe(false);
});

test('a checkout in another worktree of the user is found, even while its branch is being rebased', async () => {
  await using f = await fixture();
  await f.repository.git('switch', '-qc', 'other');
  await f.repository.git('worktree', 'add', '-q', '../linked tree', 'main');
  const linked = join(f.repository.path, '../linked tree');
  const one = await readyTask(f, 'one', { 'one.txt': '1' });
  expect(await landOf(f, one)).toMatchObject({ status: 'landed' });
  expect(readFileSync(join(linked, 'one.txt'), 'utf8')).toBe('1');
  writeFileSync(join(linked, 'README.md'), 'dirty');
  const two = await landOf(f, await readyTask(f, 'two', { 'two.txt': '2' }));
  expect(two).toMatchObject({
    status: 'landed-pending',
    finishCommand: expect.stringMatching(/^git -C '.*linked tree' merge --no-overwrite-ignore [0-9a-f]{40}$/),
  });
  await f.repository.git('-C', linked, 'commit', '-qam', 'mine');
  await f.repository.git('-C', linked, '-c', 'sequence.editor=sed -i s/^pick/edit/', 'rebase', '-q', '-i', 'HEAD~1');
  const three = await readyTask(f, 'three', { 'three.txt': '3' });
  expect(await landOf(f, three)).toMatchObject({ status: 'landed-pending', reason: expect.stringMatching(/rebased/) });
});

test('a bare repository: the branch and the record of the landing move together', async () => {
  await using f = await fixture({ bare: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' }, { method: 'squash' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.git('for-each-ref', '--format=%(objectname) %(refname)')).toBe(
    `${ready.commit} refs/coppice/done/land_one\n${ready.commit} refs/heads/main`,
  );
  expect(await f.repository.git('log', '-1', '--format=%P')).toBe(ready.tip);
  expect(await f.repository.git('fsck', '--strict', '--no-dangling')).toBe('');
});

test('a moved target is reported with its tip, and the task is merged again', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  const tip = await f.repository.commit('in between', { 'other.txt': 'x' });
  expect(await landOf(f, ready)).toEqual({ status: 'moved', tip });
  const again = await mergeOf(f, 'one', ready.taskCommit, { attempt: 2 });
  expect(again).toMatchObject({ status: 'merged-in-store', tip });
});

test.each(['bare', 'checked out', 'remote'])(
  'a target that moves in the middle of a landing, %s: moved, and nothing lost',
  async (where) => {
    await using f = await fixture({ bare: where === 'bare', remote: where === 'remote' });
    const ready = await readyTask(f, 'one', { 'one.txt': '1' });
    const other = await f.repository.git('commit-tree', '-p', 'main', '-m', 'in between', 'main^{tree}');
    let moves = 0;
    const context = {
      ...f.context,
      reached: (point: CrashPoint) => {
        if (point === 'landing-transferred' && moves++ === 0) {
          execFileSync('git', ['-C', f.repository.path, 'update-ref', 'refs/heads/main', other, ready.tip]);
        }
      },
    };
    expect(await landOf(f, ready, f.address, context)).toEqual({ status: 'moved', tip: other });
    expect(moves).toBe(1);
    expect(await f.repository.head()).toBe(other);
  },
);

test("a landing runs no hook of the user's repository", async () => {
  await using f = await fixture();
  const mark = join(f.repository.path, '../hook-ran');
  for (const hook of ['post-merge', 'reference-transaction', 'post-checkout', 'pre-merge-commit']) {
    writeFileSync(join(f.repository.path, '.git/hooks', hook), `#!/bin/sh\ntouch '${mark}'\n`);
    chmodSync(join(f.repository.path, '.git/hooks', hook), 0o755);
  }
  await f.repository.git('commit', '-q', '--allow-empty', '-m', 'fires');
  expect(existsSync(mark)).toBe(true);
  await shell(`rm '${mark}'`, '/');
  expect(await landOf(f, await readyTask(f, 'one', { 'one.txt': '1' }))).toMatchObject({ status: 'landed' });
  expect(existsSync(mark)).toBe(false);
});

test('after a landing by root, the user still owns every file of the repository', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root can act for another user');
  await using f = await fixture();
  const [uid, gid] = [12_345, 12_345];
  chmodSync(join(f.repository.path, '..'), 0o755);
  for (const path of ['', ...readdirSync(f.repository.path, { recursive: true, encoding: 'utf8' })])
    chownSync(join(f.repository.path, path), uid, gid);
  expect(await landOf(f, await readyTask(f, 'one', { 'one.txt': '1' }))).toMatchObject({ status: 'landed' });
  const owners = readdirSync(f.repository.path, { recursive: true, encoding: 'utf8' }).map(
    (path) => lstatSync(join(f.repository.path, path)).uid,
  );
  expect(new Set(owners)).toEqual(new Set([uid]));
});

test('a named pipe in place of a file with a branch name blocks nothing', async () => {
  await using f = await fixture();
  await f.repository.git('switch', '-qc', 'other');
  execFileSync('mkfifo', [join(f.repository.path, '.git/BISECT_START')]);
  mkdirSync(join(f.repository.path, '.git/rebase-merge'));
  symlinkSync('/dev/zero', join(f.repository.path, '.git/rebase-merge/head-name'));
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
});

const crashes = (['merge', 'squash'] as const).flatMap((method) =>
  (['checked out', 'bare', 'remote', 'dirty'] as const).flatMap((where) =>
    (['landing-transferred', 'landed'] as const)
      .filter((point) => where !== 'remote' || point === 'landed')
      .map((point) => ({ method, where, point })),
  ),
);

test.each(crashes)(
  '$method at a $where origin: SIGKILL at $point, then the repeat: one commit',
  async ({ method, where, point }) => {
    await using f = await fixture({ bare: where === 'bare', remote: where === 'remote' });
    if (where === 'dirty') appendFileSync(join(f.repository.path, 'README.md'), 'dirty');
    const ready = await readyTask(f, 'one', { 'one.txt': '1' }, { method });
    const program = join(import.meta.dirname, 'test-programs/land-and-die.ts');
    await using child = startProcess(program, [f.dataFolder, point, JSON.stringify(landInput(f, ready))]);
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL' });
    const status = where === 'dirty' ? 'landed-pending' : 'landed';
    expect(await landOf(f, ready)).toMatchObject({ status, commit: ready.commit });
    const ref = where === 'dirty' ? 'refs/coppice/landed/main' : 'main';
    expect(await subjects(f, ref)).toBe('feat(core): merge one\nchore: first commit');
    expect(await mergeOf(f, 'one', ready.taskCommit, { method, attempt: 2 })).toEqual({
      status: 'already-merged',
      tip: ready.commit,
    });
  },
);

test('a few objects are stored one by one, many as a pack', async () => {
  await using f = await fixture();
  const packs = () =>
    readdirSync(join(f.repository.path, '.git/objects/pack')).filter((name) => name.endsWith('.pack')).length;
  expect(await landOf(f, await readyTask(f, 'few', { 'few.txt': 'few' }))).toMatchObject({ status: 'landed' });
  expect(packs()).toBe(0);
  const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`many/${index}.txt`, `${index}`]));
  expect(await landOf(f, await readyTask(f, 'many', many))).toMatchObject({ status: 'landed' });
  expect(packs()).toBe(1);
  expect(await f.repository.git('fsck', '--no-dangling')).toBe('');
  expect(await f.repository.show('many/119.txt')).toBe('119');
});
