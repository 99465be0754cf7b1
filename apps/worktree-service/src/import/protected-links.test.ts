import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRepository } from '../context.ts';
import { fixture, taskId, write } from '../test-support/fixture.ts';
import { mergeOf } from '../test-support/task.ts';
import { importLimitsDefault } from './limits.ts';
import { stepBudgetOf } from './plan.ts';
import { ProtectPatterns } from './protect-patterns.ts';
import { linkTargets, protectedSince } from './protected-links.ts';

const targetsOf = async (pattern: string, links: Record<string, string>): Promise<string[]> => {
  const budget = stepBudgetOf(importLimitsDefault);
  return [
    ...(await linkTargets(new ProtectPatterns([pattern], budget), new Map(Object.entries(links)), budget)),
  ].toSorted();
};

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
  ['{ci/current,x}/*.sh', ['ci/current', 'ci/v2']],
])('%s also protects %j', async (pattern, expected) => {
  expect(await targetsOf(pattern, links)).toEqual(expected);
});

test('a link that differs from a folder or another link only in case hides neither', async () => {
  const shadowed = {
    'tools/verify.sh': '../src/check.sh',
    Tools: 'elsewhere',
    TOOLS: 'nowhere',
    'Verify.sh': 'a',
    'verify.sh': 'b',
  };
  expect(await targetsOf('tools/verify.sh', shadowed)).toEqual(
    expect.arrayContaining(['src/check.sh', 'tools/verify.sh']),
  );
  expect(await targetsOf('verify.sh', shadowed)).toEqual(expect.arrayContaining(['a', 'b', 'src/check.sh']));
});

test('if finding the protected paths takes too long, all paths count as protected', async () => {
  await using f = await fixture({ importLimits: { matchingStepsMax: 2_000, entriesMax: 0 } });
  await f.prepared();
  const base = await f.repository.head();
  const protect = ['a/b'];
  const paths = [`${'x/'.repeat(10)}x`, 'y'.repeat(3_000)];
  const store = (await openRepository(f.context, f.address)).store;
  expect(await protectedSince(f.context, store, { base, paths: paths.slice(0, 1), protect })).toEqual([]);
  expect(await protectedSince(f.context, store, { base, paths, protect })).toEqual(paths);
});

test('the commit and the merge report a change to the target of a protected link', async () => {
  await using f = await fixture({ files: { 'tools/check.sh': 'exit 1\n', 'forge/workflows/ci.yml': 'x\n' } });
  const { path, branch } = f.repository;
  symlinkSync('tools/check.sh', join(path, 'verify.sh'));
  symlinkSync('forge', join(path, '.github'));
  await f.repository.commit('chore: links', {});
  const { tree } = await f.prepared();
  write(tree, 'tools/check.sh', 'exit 0\n');
  write(tree, 'tools/other.sh', 'exit 0\n');
  write(tree, 'forge/workflows/ci.yml', 'y\n');
  // If the task changes a protected link, the link's old target stays protected.
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
