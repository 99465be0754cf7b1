import { existsSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, shell, taskId, write } from '../test-support/fixture.ts';
import { openContext } from '../open.ts';
import { prepare } from './prepare.ts';

test('a worktree contains the base on its own branch, and belongs to the sandbox user', async () => {
  await using f = await fixture({ files: { 'a.txt': 'a\n', 'dir/run.sh': { text: '#!/bin/sh\n', executable: true } } });
  const { tree, branch, baseCommit, node, mounts } = await f.prepared();
  expect(branch).toBe(`coppice/${taskId}/slug`);
  expect(baseCommit).toBe(await f.repository.head());
  expect(node).toBe('node1');
  expect(readFileSync(join(tree, 'a.txt'), 'utf8')).toBe('a\n');
  expect(lstatSync(join(tree, 'dir/run.sh')).mode & 0o777).toBe(0o755);
  const owner = process.getuid?.() === 0 ? 10_001 : process.getuid?.();
  expect([lstatSync(tree).uid, lstatSync(join(tree, 'dir/run.sh')).uid]).toEqual([owner, owner]);
  expect(mounts.map(({ target, readOnly }) => [target, readOnly])).toEqual([
    ['/workspace', false],
    ['/workspace/.git', true],
    ['/coppice/agent.git', false],
    ['/coppice/origin.git', true],
  ]);
  expect(await f.tasks('rev-parse', branch)).toBe(baseCommit);
  expect(await f.tasks('worktree', 'list')).toContain(tree);
  expect(lstatSync(join(f.dataFolder, 'repositories')).mode & 0o077).toBe(0o011);
});

test('the private git directory shows a clean tree, and commits, without touching the stores', async () => {
  await using f = await fixture({
    files: { 'a.txt': 'a\n', 'crlf.txt': 'x\r\ny\r\n', '.gitattributes': '* text=auto\n' },
  });
  const { tree, mounts } = await f.prepared();
  const [, , agent, origin] = mounts.map(({ source }) => source);
  // The git directory contains the sandbox's path of the borrowed objects. This test runs outside the sandbox, so it
  // sets the host's path.
  const environment = {
    GIT_DIR: agent ?? '',
    GIT_WORK_TREE: tree,
    GIT_ALTERNATE_OBJECT_DIRECTORIES: join(origin ?? '', 'objects'),
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'safe.directory',
    GIT_CONFIG_VALUE_0: '*',
  };
  expect(await shell('git status --porcelain 2>/dev/null', tree, environment)).toBe('');
  write(tree, 'b.txt', 'b\n');
  await shell('git add b.txt && git commit -q -m work 2>/dev/null', tree, environment);
  expect(await shell('git log --format=%s 2>/dev/null', tree, environment)).toBe('work\nchore: first commit\n');
  expect(await f.tasks('log', '--format=%s', `coppice/${taskId}/slug`)).toBe('chore: first commit');
});

test("a repeat, even a concurrent one, finds the existing worktree, and the agent's work stays", async () => {
  await using f = await fixture();
  const [first, second] = await Promise.all([f.prepared(), f.prepared()]);
  expect(second).toEqual(first);
  write(first.tree, 'work.txt', 'work');
  await f.repository.commit('next', { 'later.txt': '' });
  expect(await f.prepared()).toEqual(first);
  expect(readFileSync(join(first.tree, 'work.txt'), 'utf8')).toBe('work');
});

test('a half-created worktree that a crash left is created again', async () => {
  await using f = await fixture();
  const { dataFolder } = f;
  const options = {
    taskId,
    effectId: 'life_1',
    repository: f.repository.path,
    baseBranch: 'main',
    slug: 'slug',
    setupKey: null,
  };
  for (const point of ['worktree-added', 'checked-out']) {
    const crashing = await openContext({
      dataFolder,
      node: 'node1',
      reached: (at) => {
        if (at === point) throw new Error(`crash at ${point}`);
      },
    });
    await expect(prepare(crashing, options)).rejects.toThrow(`crash at ${point}`);
    await f.repository.commit('the base moves on', { [`${point}.txt`]: '' });
  }
  const { tree, baseCommit } = await f.prepared();
  expect(existsSync(join(tree, 'checked-out.txt'))).toBe(true);
  expect(baseCommit).toBe(await f.repository.head());
  expect(await f.tasks('for-each-ref', 'refs/coppice/rescue')).toBe('');
  expect((await f.tasks('worktree', 'list', '--porcelain')).match(/^worktree /gm)).toHaveLength(2);
});

test('commits of a lost worktree are rescued when the worktree is created again', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'work.txt', 'x');
  const committed = await f.committed();
  rmSync(join(f.dataFolder, 'worktrees', taskId), { recursive: true });
  const { branch, baseCommit } = await f.prepared();
  expect(await f.tasks('rev-parse', branch)).toBe(baseCommit);
  expect(committed).toMatchObject({ commit: await f.tasks('rev-parse', `refs/coppice/rescue/${taskId}/1`) });
});

test('fifty concurrent preparations in one repository succeed', async () => {
  await using f = await fixture({
    files: Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`d${index % 5}/f${index}.txt`, `${index}\n`])),
  });
  const tasks = Array.from({ length: 50 }, (_, index) => `many${index}`);
  const all = await Promise.all(tasks.map((task) => f.prepared(task)));
  for (const { tree } of all) expect(readFileSync(join(tree, 'd4/f39.txt'), 'utf8')).toBe('39\n');
  expect(new Set(all.map(({ branch }) => branch)).size).toBe(50);
  const results = await Promise.all(
    all.map(({ tree }, index) => {
      write(tree, 'd1/f1.txt', `changed by ${index}\n`);
      return f.committed(tasks[index]);
    }),
  );
  expect(results.every((result) => result.status === 'committed')).toBe(true);
});

test("the user's own gc and removal of objects don't break a task", async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  rmSync(join(f.repository.path, '.git/objects'), { recursive: true });
  write(tree, 'new.txt', 'x');
  expect(await f.committed()).toMatchObject({ status: 'committed', paths: ['new.txt'] });
});

test.each([
  ['base branch', { baseBranch: 'mian' }, 'branch-not-found', /mian.*main/],
  ['repository', { repository: '/nonexistent/repository' }, 'repository-not-found', /no such folder/],
  ['address', { repository: 'https://me:secret@example.invalid/x.git' }, 'invalid-request', /without a password/],
  ['relative path', { repository: 'here' }, 'invalid-request', /absolute path/],
  ['option as address', { repository: '--upload-pack=touch' }, 'invalid-request', /repository/],
  ['ext address', { repository: 'ext::sh -c "touch x"' }, 'invalid-request', /repository/],
  ['slug', { slug: 'Not A Slug' }, 'invalid-request', /slug/],
  ['task id', { taskId: '../../x' }, 'invalid-request', /taskId/],
])('a wrong %s is reported by name, and leaves nothing', async (_name, wrong, code, text) => {
  await using f = await fixture();
  const right = {
    taskId,
    effectId: 'life_1',
    repository: f.repository.path,
    baseBranch: 'main',
    slug: 'slug',
    setupKey: null,
  };
  const failure = prepare(f.context, { ...right, ...wrong });
  await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(text) });
  await expect(failure).rejects.not.toThrow(/secret/);
  expect(existsSync(join(f.dataFolder, 'worktrees', taskId))).toBe(false);
});
