import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, taskId, write } from '../test-support/fixture.ts';
import { mergeOf } from '../test-support/task.ts';
import { linkTargets } from './protected-links.ts';

const links = {
  'verify.sh': 'ci/current/verify.sh',
  'ci/current': 'v2',
  Makefile: 'build/Makefile',
  'sub/Makefile': '../build/sub.mk',
  '.github': 'forge',
  outside: '../outside',
  absolute: '/etc/passwd',
  loop: 'loop',
  'a/b/up': '../..',
};

test.each([
  ['verify.sh', ['ci/current', 'ci/v2/verify.sh', 'verify.sh']],
  ['./Verify.SH', ['ci/current', 'ci/v2/verify.sh', 'verify.sh']],
  ['ci/current/verify.sh', ['ci/current', 'ci/v2/verify.sh']],
  ['makefile', ['build/makefile', 'build/sub.mk', 'makefile', 'sub/makefile']],
  ['.github/**', ['.github', 'forge']],
  ['.github/workflows/*.yml', ['.github', 'forge/workflows']],
  ['a/b/up/verify.sh', ['a/b/up', 'ci/current', 'ci/v2/verify.sh', 'verify.sh']],
  ['a/b/up', ['a/b/up']],
  ['outside', ['outside']],
  ['absolute', ['absolute']],
  ['loop', ['loop']],
  ['ci/v2/verify.sh', []],
  ['**/verify.sh', []],
  ['../verify.sh', []],
])('%s also protects %j', (pattern, expected) => {
  expect([...linkTargets([pattern], new Map(Object.entries(links)))].toSorted()).toEqual(expected);
});

test('a change to what a protected link leads to is reported by the commit and by the merge', async () => {
  await using f = await fixture({ files: { 'tools/check.sh': 'exit 1\n', 'forge/workflows/ci.yml': 'x\n' } });
  const { path, branch } = f.repository;
  symlinkSync('tools/check.sh', join(path, 'verify.sh'));
  symlinkSync('forge', join(path, '.github'));
  await f.repository.commit('chore: links', {});
  const { tree } = await f.prepared();
  write(tree, 'tools/check.sh', 'exit 0\n');
  write(tree, 'tools/other.sh', 'exit 0\n');
  write(tree, 'forge/workflows/ci.yml', 'y\n');
  // A link that the task itself changes still protects what it led to.
  rmSync(join(tree, 'verify.sh'));
  symlinkSync('tools/other.sh', join(tree, 'verify.sh'));
  const protect = ['verify.sh', '.github/**'];
  const protectedPaths = ['forge/workflows/ci.yml', 'tools/check.sh', 'verify.sh'];
  const committed = await f.committed(taskId, 'commit', protect);
  expect(committed).toMatchObject({ protectedPaths });
  expect(await f.committed(taskId, 'commit', protect)).toEqual(committed);
  if (committed.status !== 'committed') throw new Error(committed.status);
  expect(await mergeOf(f, taskId, committed.commit, { protect })).toMatchObject({ protectedPaths });
  expect(await f.repository.show('tools/check.sh', branch)).toBe('exit 1\n');
});
