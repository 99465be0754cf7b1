import { expect, test } from 'vitest';
import { importLimitsDefault } from './limits.ts';
import { stepBudgetOf } from './plan.ts';
import { expanded, ProtectPatterns } from './protect-patterns.ts';
import { listed, protectedAmong } from './protected-paths.ts';

const among = (paths: readonly string[], protect: readonly string[], budget = stepBudgetOf(importLimitsDefault)) =>
  protectedAmong(paths, new ProtectPatterns(protect, budget), budget);

test('protected paths beyond fifty become one entry, which differs if the paths differ', () => {
  const paths = (from: number) => Array.from({ length: 60 }, (_, index) => `.github/${from + index}.yml`);
  const [some, others] = [listed(paths(100)), listed(paths(101))];
  expect(some.slice(0, 50)).toEqual(paths(100).slice(0, 50));
  expect(some.slice(50)).toEqual([expect.stringMatching(/^and 10 more \([0-9a-f]{16}\)$/)]);
  expect(others.at(-1)).toMatch(/^and 10 more/);
  expect(others.at(-1)).not.toBe(some.at(-1));
  expect(listed(paths(100).slice(0, 50))).toHaveLength(50);
});

test.each([
  ['docs/**', ['docs', 'docs/a/b.md'], ['a/docs/b']],
  ['docs/', ['docs/a/b.md'], ['a/docs/b']],
  ['docs', ['docs/a', 'a/Docs/b'], ['docs.md']],
  ['/package.json', ['package.json'], ['a/package.json']],
  ['./ci/*.sh', ['ci/a.sh', 'ci/.sh'], ['ci/a/b.sh']],
  ['**/a/**/b', ['a/b', 'x/a/y/z/b', 'a/a/b'], ['b', 'a/b/c']],
  ['a**b', ['x/a-b'], ['a/b']],
  ['@(x|y)?(.d).ts', ['x.ts', 'y.d.ts'], ['z.ts']],
  ['!(a).ts', [], []],
  ['x/+(a|b)', ['x/a', 'x/ab'], ['x/y/a']],
  ['x/(a)+', ['x/aa'], ['y/a']],
  ['{docs/**/a/**/b/**,package.json}', ['package.json', 'docs/a/b/c'], ['x/package.json']],
  ['{package.json,ci/*-*-*-*.sh}', ['package.json', 'ci/a-b-c-d.sh'], ['ci/a.sh']],
  ['a/{x/*1*2*3*4,verify.sh}', ['a/verify.sh', 'a/x/1234'], ['a/x/verify.sh']],
  ['{a,{b,c}d}.ts', ['a.ts', 'cd.ts'], ['d.ts']],
  ['v{1..3}', ['v2'], ['w2']],
  ['{a}', ['{a}'], ['a']],
  ['check[1].sh', ['check1.sh', 'check[1].sh'], ['check12.sh']],
  ['check\\[1\\].\\*', ['check[1].*'], ['check1.x']],
  ['a[', ['a['], ['a']],
  ['x\\', ['x\\'], ['x']],
  ['"verify.sh"', ['verify.sh'], ['verify.js']],
  ['{a/b,c', ['anything/at/all'], []],
  ['x{a/b,+(c/d)}y/z', ['anything/at/all'], []],
  ['(('.repeat(200), ['anything/at/all'], []],
  [`${'{a,b/}'.repeat(10)}c`, ['anything/at/all'], []],
])('%s protects %j and not %j', async (pattern, protectedPaths, others) => {
  expect(await among([...protectedPaths, ...others], [pattern])).toEqual(protectedPaths);
});

test('patterns that took picomatch exponential or cubic time take a limited number of steps', async () => {
  const deep = `deep/${'a/'.repeat(1_000)}${'a'.repeat(200)}`;
  const long = Array.from({ length: 20 }, (_, index) => `${`${'a'.repeat(240)}/`.repeat(16)}${index}`);
  for (const pattern of [
    `${'{a,aa}'.repeat(40)}b`,
    `${'@(a|aa)'.repeat(34)}b`,
    '**/+(a|aa)+(a|aa)b',
    '*a*a*b',
    `${'*a'.repeat(100)}b`,
    `${'**/a/'.repeat(50)}b`,
  ]) {
    const budget = stepBudgetOf({ ...importLimitsDefault, entriesMax: 0, matchingStepsMax: 10_000_000 });
    await among([deep, 'a'.repeat(64), ...long], [pattern], budget);
  }
  expect(expanded(`${'{a,aa}'.repeat(40)}b`).length).toBeLessThan(100);
});

test('matching many deep paths lets other work run, checks each name once, and can be cancelled', async () => {
  const paths = Array.from({ length: 20_000 }, (_, index) => `${'a/'.repeat(99)}f${index}`);
  const patterns = Array.from({ length: 50 }, (_, index) => `*.test${index}.*`);
  const budget = stepBudgetOf({ ...importLimitsDefault, entriesMax: 0, matchingStepsMax: 30_000_000 });
  expect(await among(paths, patterns, budget)).toEqual([]);
  expect(budget.yields).toBeGreaterThan(0);
  const abort = new AbortController();
  setImmediate(() => abort.abort());
  await expect(among(paths, patterns, stepBudgetOf(importLimitsDefault, abort.signal))).rejects.toMatchObject({
    code: 'cancelled',
  });
});
