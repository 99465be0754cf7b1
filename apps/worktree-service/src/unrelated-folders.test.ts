import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { fixture } from './test-support/fixture.ts';
import { markUnrelated } from './unrelated-folders.ts';

/** Reports whether the file system supports the attribute. Only ext4 does. */
function isKnownIn(folder: string): boolean {
  try {
    execFileSync('chattr', ['+T', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('the folders of tasks are marked as unrelated to one another', async (context) => {
  await using folder = await temporaryFolder('unrelated');
  if (!isKnownIn(folder.path)) context.skip('the file system of temporary folders has no such attribute');
  await using f = await fixture();
  for (const name of ['worktrees', 'checkouts', 'setups']) {
    const flags = execFileSync('lsattr', ['-d', join(f.dataFolder, name)], { encoding: 'utf8' }).split(' ')[0];
    expect([name, flags]).toEqual([name, expect.stringContaining('T')]);
  }
});

test('nothing fails if the attribute is not supported', async () => {
  await using folder = await temporaryFolder('unrelated');
  mkdirSync(join(folder.path, 'one'));
  const marking = markUnrelated([join(folder.path, 'one'), '/proc/self', '/nonexistent']);
  await expect(marking).resolves.toBeUndefined();
});
