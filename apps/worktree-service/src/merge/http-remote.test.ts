import { expect, test } from 'vitest';
import { inspect } from '../repository/inspect.ts';
import { fixture } from '../test-support/fixture.ts';
import { httpRemote } from '../test-support/http-remote.ts';
import { landOf, readyTask } from '../test-support/task.ts';

test('a remote over HTTP, from worktree to landing', async () => {
  await using servers = new AsyncDisposableStack();
  await using f = await fixture({
    bare: true,
    derive: async (source) => servers.use(await httpRemote(source)).url,
  });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head()).toBe(ready.commit);
  const tip = await f.repository.commit('on top', { 'x.txt': '' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  const two = await readyTask(f, 'two', { 'two.txt': '2' }, { method: 'squash' });
  expect(two.tip).toBe(tip);
  expect(await landOf(f, two)).toEqual({ status: 'landed', commit: two.commit });
});

test('a remote that requires a password causes an error, not a prompt', async () => {
  await using f = await fixture({ bare: true });
  await using remote = await httpRemote(f.repository.path, 'me:secret');
  const startedAt = performance.now();
  const failure = inspect(f.context, { repository: remote.url, baseBranch: 'main' });
  await expect(failure).rejects.toMatchObject({ code: 'repository-not-found', retryable: false });
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

test('the error for an unreachable remote is retryable; the error for one that answers "not found" is not', async () => {
  await using f = await fixture({ bare: true });
  const remote = await httpRemote(f.repository.path);
  await expect(inspect(f.context, { repository: `${remote.url}-absent`, baseBranch: 'main' })).rejects.toMatchObject({
    code: 'repository-not-found',
  });
  await remote[Symbol.asyncDispose]();
  await expect(inspect(f.context, { repository: remote.url, baseBranch: 'main' })).rejects.toMatchObject({
    code: 'git-failed',
    retryable: true,
  });
});
