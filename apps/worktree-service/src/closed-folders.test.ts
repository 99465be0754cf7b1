/** Checks that another local user who knows every path can't read what agents work on. */
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { promisify } from 'node:util';
import { isRoot, sandboxUser } from '@coppice/service';
import { expect, test } from 'vitest';
import { fixture, shell } from './test-support/fixture.ts';
import { readyTask } from './test-support/task.ts';

const run = promisify(execFile);
const nobody = 65_534;

async function readAs(uid: number, file: string): Promise<'read' | 'refused'> {
  const user = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--'];
  return run('setpriv', [...user, 'cat', file]).then(
    () => 'read' as const,
    () => 'refused' as const,
  );
}

test('only the sandbox’s user can read worktrees and checkouts', async () => {
  await using f = await fixture();
  await readyTask(f, 'task1', { 'secret.txt': 'of a private repository\n' }, { checkout: true });
  const { worktrees, checkouts, setups } = f.context.layout;
  const found = (await shell(`find ${worktrees} ${checkouts} -name secret.txt`, f.dataFolder)).trim().split('\n');
  expect(found.map((file) => file.startsWith(worktrees))).toEqual([true, false]);
  for (const file of found) {
    expect(await readAs(nobody, file)).toBe('refused');
    // Without root, the test can't run a program as another user.
    expect(await readAs(sandboxUser().uid, file)).toBe(isRoot() ? 'read' : 'refused');
  }
  for (const folder of [worktrees, checkouts, setups])
    expect(statSync(folder).mode & 0o777).toBe(isRoot() ? 0o710 : 0o700);
});
