import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture } from '../test-support/fixture.ts';
import { landOf, mergeOf, readyTask } from '../test-support/task.ts';

const source = (merged: Awaited<ReturnType<typeof mergeOf>>): string =>
  merged.status === 'merged-in-store' ? (merged.checkout?.mounts[0]?.source ?? '') : '';

test('the folder to verify contains exactly the merged tree, without .git', async () => {
  await using f = await fixture({ files: { 'a.txt': 'a\n', 'run.sh': { text: '#!/bin/sh\n', executable: true } } });
  const ready = await readyTask(f, 'one', { 'b.txt': 'b\n' });
  await f.repository.commit('in between', { 'c.txt': 'c\n' });
  const merged = await mergeOf(f, 'one', ready.taskCommit, { checkout: true, attempt: 2 });
  const tree = source(merged);
  expect(['a.txt', 'b.txt', 'c.txt'].map((path) => readFileSync(join(tree, path), 'utf8'))).toEqual([
    'a\n',
    'b\n',
    'c\n',
  ]);
  expect(lstatSync(join(tree, 'run.sh')).mode & 0o777).toBe(0o755);
  expect(lstatSync(join(tree, 'b.txt')).uid).toBe(process.getuid?.() === 0 ? 10_001 : process.getuid?.());
  expect(existsSync(join(tree, '.git'))).toBe(false);
});

test('a repeat returns the same result, and does not touch a folder in use', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'b.txt': 'b\n' });
  const [first, second] = await Promise.all(
    [1, 2].map(() => mergeOf(f, 'one', ready.taskCommit, { checkout: true, attempt: 2 })),
  );
  if (first === undefined) throw new Error('no answer');
  expect(second).toEqual(first);
  writeFileSync(join(source(first), 'made-by-verify'), '');
  await f.repository.commit('moved', { 'x.txt': '' });
  expect(await mergeOf(f, 'one', ready.taskCommit, { checkout: true, attempt: 2 })).toEqual(first);
  expect(existsSync(join(source(first), 'made-by-verify'))).toBe(true);
});

test('the same merge made twice is the same commit', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'b.txt': 'b\n' });
  rmSync(f.context.layout.checkoutsOf('one'), { recursive: true, force: true });
  expect(await mergeOf(f, 'one', ready.taskCommit)).toMatchObject({ commit: ready.commit });
});

test('a conflict is reported with its paths, and with the commits that changed them on the target', async () => {
  await using f = await fixture({ files: { 'a.txt': 'a\n', 'ü b.txt': 'a\n', 'c.txt': 'c\n' } });
  const ready = await readyTask(f, 'one', { 'a.txt': 'mine\n', 'ü b.txt': 'mine\n' });
  const other = await readyTask(f, 'other', { 'a.txt': 'other\n', 'c.txt': 'other\n' });
  expect(await landOf(f, other)).toMatchObject({ status: 'landed' });
  await f.repository.commit('apart', { 'd.txt': 'd\n' });
  // The value of this trailer is too long for a task id.
  const message = `theirs\n\nCoppice-Task: ${'x'.repeat(50_000)}`;
  const tip = await f.repository.commit(message, { 'a.txt': 'theirs\n', 'ü b.txt': 'theirs\n' });
  const theirs = { commit: tip, subject: 'theirs', taskId: null };
  const ofOther = { commit: other.commit, subject: 'feat(core): merge other', taskId: 'other' };
  expect(await mergeOf(f, 'one', ready.taskCommit, { attempt: 2 })).toEqual({
    status: 'conflict',
    tip,
    paths: ['a.txt', 'ü b.txt'],
    landed: [
      { path: 'a.txt', commits: [theirs, ofOther] },
      { path: 'ü b.txt', commits: [theirs] },
    ],
  });
});

test('work that the target already has is reported as such', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'b.txt': 'b\n' });
  const tip = await f.repository.commit('the same by hand', { 'b.txt': 'b\n' });
  expect(await mergeOf(f, 'one', ready.taskCommit, { attempt: 2 })).toEqual({ status: 'already-merged', tip });
});

test('many landings can build on each other', async () => {
  await using f = await fixture({ bare: true });
  for (const name of ['one', 'two', 'three']) {
    const ready = await readyTask(f, name, { [`${name}.txt`]: name }, { method: 'squash' });
    expect(await landOf(f, ready)).toMatchObject({ status: 'landed' });
  }
  expect(await f.repository.git('log', '--format=%s', 'main')).toBe(
    'feat(core): merge three\nfeat(core): merge two\nfeat(core): merge one\nchore: first commit',
  );
});

test('a new effect id gets a new, clean folder', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'b.txt': 'b\n' });
  const first = source(await mergeOf(f, 'one', ready.taskCommit, { checkout: true, attempt: 2 }));
  writeFileSync(join(first, 'made-by-verify'), '');
  writeFileSync(join(first, 'b.txt'), 'changed by verify');
  const second = source(await mergeOf(f, 'one', ready.taskCommit, { checkout: true, attempt: 3 }));
  expect(second).not.toBe(first);
  expect(existsSync(join(second, 'made-by-verify'))).toBe(false);
  expect(readFileSync(join(second, 'b.txt'), 'utf8')).toBe('b\n');
});

test('the protected paths are those that the landing changes, by their names on the target', async () => {
  const workflow = Array.from({ length: 20 }, (_, index) => `step ${index}\n`).join('');
  await using f = await fixture({ files: { 'ci/build.yml': workflow, 'a.txt': 'a\n' } });
  const ready = await readyTask(f, 'one', { 'ci/build.yml': `${workflow}step of the agent\n`, 'b.txt': 'b\n' });
  await f.repository.git('mv', 'ci', '.github');
  await f.repository.git('commit', '-qm', 'rename');
  const protect = ['.github/**'];
  const merged = await mergeOf(f, 'one', ready.taskCommit, { attempt: 2, protect });
  expect(merged).toMatchObject({ status: 'merged-in-store', protectedPaths: ['.github/build.yml'] });
  expect(await mergeOf(f, 'one', ready.taskCommit, { attempt: 2, protect })).toEqual(merged);
  expect(await mergeOf(f, 'one', ready.taskCommit, { attempt: 3 })).toMatchObject({ protectedPaths: [] });
});
