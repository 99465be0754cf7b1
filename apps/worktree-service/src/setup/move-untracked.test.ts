import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { asUser } from '../test-support/plants.ts';
import { requireKeepable } from './keepable.ts';
import { moveUntracked } from './move-untracked.ts';

test('read-only and closed folders are kept, also where the stack is not root', async () => {
  await using folder = await temporaryFolder('setup');
  const [tree, result] = [join(folder.path, 'tree'), join(folder.path, 'result')];
  await asUser(folder.path, async () => {
    for (const path of ['pkg/mod', 'src', 'closed']) mkdirSync(join(tree, path), { recursive: true });
    for (const path of ['pkg/mod/x.go', 'src/tracked.go', 'src/made.go', 'closed/x'])
      writeFileSync(join(tree, path), path);
    for (const path of ['pkg/mod', 'pkg', 'src', '.']) chmodSync(join(tree, path), 0o555);
    for (const path of ['closed/x', 'closed']) chmodSync(join(tree, path), 0o000);
    await requireKeepable(tree);
    moveUntracked(null, tree, result, new Set(['src/tracked.go']));
    for (const path of ['pkg/mod/x.go', 'src/made.go', 'closed/x'])
      expect(readFileSync(join(result, path), 'utf8')).toBe(path);
    expect(readFileSync(join(tree, 'src/tracked.go'), 'utf8')).toBe('src/tracked.go');
    for (const path of ['pkg', 'pkg/mod']) expect(lstatSync(join(result, path)).mode & 0o777).toBe(0o555);
    expect(lstatSync(join(result, 'pkg')).uid).not.toBe(0);
    for (const path of ['pkg', 'pkg/mod']) chmodSync(join(result, path), 0o755);
  });
});
