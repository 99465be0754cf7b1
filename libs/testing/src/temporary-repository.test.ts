import { access } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { temporaryRepository } from './temporary-repository.ts';

test('the same content has the same commit id for every user who runs the test', async () => {
  const files = { 'a/b.txt': 'text\n', 'run.sh': { text: '#!/bin/sh\n', executable: true } };
  await using first = await temporaryRepository({ files });
  await using second = await temporaryRepository({ files, bare: true });
  expect(await first.head()).toBe(await second.head());
  expect(await first.git('status', '--porcelain')).toBe('');
  expect(await second.git('rev-parse', '--is-bare-repository')).toBe('true');
  expect(await second.git('ls-tree', '-r', '--format=%(objectmode) %(path)', 'main')).toBe(
    '100644 a/b.txt\n100755 run.sh',
  );
});

test("the user's configuration has no effect", async () => {
  await using repository = await temporaryRepository();
  expect(await repository.git('config', '--list', '--show-scope')).not.toMatch(/^(system|global)/m);
  expect(await repository.git('log', '-1', '--format=%an <%ae> %cn')).toBe(
    'Test Author <author@example.invalid> Test Committer',
  );
});

test.each([false, true])('new commits are based on what others have pushed (bare: %s)', async (bare) => {
  await using repository = await temporaryRepository({ branch: 'trunk', bare, files: { one: '1' } });
  const first = await repository.head();
  const second = await repository.commit('feat: more', { two: '2' });
  expect(await repository.head()).toBe(second);
  expect(await repository.head('trunk~1')).toBe(first);
  if (bare) {
    const tree = await repository.git('rev-parse', 'trunk^{tree}');
    await repository.git(
      'update-ref',
      'refs/heads/trunk',
      await repository.git('commit-tree', tree, '-p', second, '-m', 'elsewhere'),
    );
  }
  await repository.commit('feat: on top', { three: '3' });
  expect(await repository.git('rev-list', '--count', 'trunk')).toBe(bare ? '4' : '3');
  expect(await repository.show('two')).toBe('2');
  expect(await repository.show('four')).toBeNull();
});

test('nothing is left behind', async () => {
  const repository = await temporaryRepository();
  await repository.remove();
  await expect(access(repository.path)).rejects.toThrow('ENOENT');
});
