import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, taskId, write } from '../test-support/fixture.ts';
import { landOf, mergeOf, readyTask } from '../test-support/task.ts';
import { pushBranch } from './push-branch.ts';

test.each(['merge', 'squash'] as const)('a %s is pushed with a lease, once', async (method) => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' }, { method });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  await f.repository.commit('on top', { 'x.txt': 'x' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
});

test('a landing that was undone is not pushed again', async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  await landOf(f, ready);
  await f.repository.git('update-ref', 'refs/heads/main', ready.tip);
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head()).toBe(ready.tip);
});

test('a landing that only a repeat has recorded is not pushed again after it was undone', async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  // Simulates a crash between the push and the record.
  await f.tasks('push', '-q', f.address, `${ready.commit}:refs/heads/main`);
  await landOf(f, ready);
  await f.repository.git('update-ref', 'refs/heads/main', ready.tip);
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head()).toBe(ready.tip);
});

test('a moved remote is reported with its tip', async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  const tip = await f.repository.commit('in between', { 'x.txt': 'x' });
  expect(await landOf(f, ready)).toEqual({ status: 'moved', tip });
  expect(await mergeOf(f, 'one', ready.taskCommit, { attempt: 2 })).toMatchObject({ status: 'merged-in-store', tip });
});

test('a landing whose history was rewritten since is found by its trailer', async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' }, { method: 'squash' });
  await landOf(f, ready);
  const text = await f.repository.git('log', '-1', '--format=%B', ready.commit);
  const rewritten = await f.repository.git('commit-tree', '-p', ready.tip, '-m', text, `${ready.commit}^{tree}`);
  await f.repository.git('update-ref', 'refs/heads/main', rewritten);
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: rewritten });
});

test("a rejection by the remote is reported with the remote's own message", async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  const hook = join(f.repository.path, 'hooks/pre-receive');
  writeFileSync(hook, '#!/bin/sh\necho "main is protected" >&2\nexit 1\n');
  chmodSync(hook, 0o755);
  await expect(landOf(f, ready)).rejects.toMatchObject({
    code: 'landing-refused',
    message: expect.stringMatching(/main is protected/),
  });
});

test('a missing remote is reported as such', async () => {
  await using f = await fixture({ remote: true });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  const absent = f.address.replace(/[^/]*$/, 'nonexistent.git');
  await expect(landOf(f, ready, absent)).rejects.toMatchObject({ code: 'not-found' });
  await expect(mergeOf(f, 'one', ready.taskCommit, { repository: absent, attempt: 3 })).rejects.toMatchObject({
    code: 'repository-not-found',
    message: expect.stringMatching(/nonexistent/),
  });
});

test.each([false, true])(
  "a task's branch is pushed to its origin (remote: %s), and never over other work",
  async (remote) => {
    await using f = await fixture({ remote });
    const { branch, tree } = await f.prepared();
    write(tree, 'one.txt', '1');
    const committed = await f.committed();
    const commit = 'commit' in committed ? committed.commit : '';
    const input = { taskId, repository: f.address, branch, commit };
    expect(await pushBranch(f.context, input)).toEqual({ branch });
    expect(await pushBranch(f.context, input)).toEqual({ branch });
    expect(await f.repository.head(branch)).toBe(commit);
    await f.repository.git(
      'update-ref',
      `refs/heads/${branch}`,
      await f.repository.git('commit-tree', '-m', 'other', 'main^{tree}'),
    );
    await expect(pushBranch(f.context, input)).rejects.toMatchObject({ code: 'landing-refused' });
    await expect(pushBranch(f.context, { ...input, branch: 'main' })).rejects.toMatchObject({
      code: 'invalid-request',
    });
  },
);
