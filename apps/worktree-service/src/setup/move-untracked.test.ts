import { chmodSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { asUser } from '../test-support/plants.ts';
import { requireKeepable } from './keepable.ts';
import { moveUntracked } from './move-untracked.ts';

test('read-only and closed folders are kept, even if the stack does not run as root', async () => {
  await using folder = await temporaryFolder('setup');
  const [tree, result] = [join(folder.path, 'tree'), join(folder.path, 'result')];
  await asUser(folder.path, async () => {
    for (const path of ['pkg/mod', 'src', 'closed']) mkdirSync(join(tree, path), { recursive: true });
    for (const path of ['pkg/mod/x.go', 'src/tracked.go', 'src/made.go', 'closed/x'])
      writeFileSync(join(tree, path), path);
    for (const path of ['pkg/mod', 'pkg', 'src', '.']) chmodSync(join(tree, path), 0o555);
    for (const path of ['closed/x', 'closed']) chmodSync(join(tree, path), 0o000);
    await requireKeepable(tree);
    await moveUntracked(null, tree, result, new Set(['src/tracked.go']));
    for (const path of ['pkg/mod/x.go', 'src/made.go', 'closed/x'])
      expect(readFileSync(join(result, path), 'utf8')).toBe(path);
    expect(readFileSync(join(tree, 'src/tracked.go'), 'utf8')).toBe('src/tracked.go');
    for (const path of ['pkg', 'pkg/mod']) expect(lstatSync(join(result, path)).mode & 0o777).toBe(0o555);
    expect(lstatSync(join(result, 'pkg')).uid).not.toBe(0);
    for (const path of ['pkg', 'pkg/mod']) chmodSync(join(result, path), 0o755);
  });
});

test('moving a folder with tracked files and many others lets other work run, can be cancelled, and continues where it stopped', async () => {
  await using folder = await temporaryFolder('setup');
  const [tree, result] = [join(folder.path, 'tree'), join(folder.path, 'result')];
  const deep = Array.from({ length: 20 }, () => 'd').join('/');
  mkdirSync(join(tree, deep), { recursive: true });
  writeFileSync(join(tree, deep, 'tracked'), '');
  const files = 3_000;
  for (let number = 0; number < files; number++) writeFileSync(join(tree, deep, `${number}`), '');
  const tracked = new Set([`${deep}/tracked`]);
  const abort = new AbortController();
  setImmediate(() => abort.abort());
  await expect(moveUntracked(null, tree, result, tracked, abort.signal)).rejects.toMatchObject({ code: 'cancelled' });
  const moved = readdirSync(join(result, deep)).length;
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(files);
  await moveUntracked(null, tree, result, tracked);
  expect(readdirSync(join(result, deep))).toHaveLength(files);
  expect(readdirSync(join(tree, deep))).toEqual(['tracked']);
});
