import { chmodSync, chownSync, lstatSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { Git } from '../git/git.ts';
import { fixture, shell } from '../test-support/fixture.ts';
import { landOf, readyTask } from '../test-support/task.ts';
import { diff, inspect } from './inspect.ts';

test('one repository has one id, however it is named', async () => {
  await using f = await fixture();
  await using folder = await temporaryFolder('names');
  symlinkSync(f.repository.path, join(folder.path, 'link'));
  await f.repository.git('worktree', 'add', '-q', '-b', 'other', '../linked');
  const names = [
    f.repository.path,
    `${f.repository.path}/`,
    join(folder.path, 'link'),
    join(f.repository.path, '.git'),
    join(f.repository.path, '../linked'),
    `file://${f.repository.path}`,
    `file://localhost${f.repository.path}/.git`,
  ];
  const answers = await Promise.all(names.map((repository) => inspect(f.context, { repository, baseBranch: 'main' })));
  expect(new Set(answers.map(({ repositoryId }) => repositoryId)).size).toBe(1);
  expect(answers[2]).toMatchObject({ repository: f.repository.path, baseCommit: await f.repository.head() });
});

test('the error for a wrong branch names similar ones', async () => {
  await using f = await fixture();
  for (const name of ['develop', 'maintenance', 'release/1.0']) await f.repository.git('branch', name);
  await expect(inspect(f.context, { repository: f.address, baseBranch: 'develp' })).rejects.toMatchObject({
    code: 'branch-not-found',
    message: expect.stringMatching(/^baseBranch: no branch "develp" in the repository; it has develop, /),
    details: { issues: [{ field: 'baseBranch', received: 'develp' }] },
  });
});

test('an address without a repository is reported as such: absent, a plain folder, a folder inside a repository, our own data', async () => {
  await using f = await fixture({ files: { 'src/a.txt': '' } });
  await using folder = await temporaryFolder('plain');
  const { tree, mounts } = await f.prepared();
  const agentGit = mounts[2]?.source ?? '';
  const wrong: [string, RegExp][] = [
    ['/nonexistent', /no such folder/],
    [folder.path, /not a git repository.* \(git says: fatal: not a git repository/],
    [join(f.repository.path, 'src'), new RegExp(`inside a repository; .*folder, ${f.repository.path}$`)],
    [join(f.repository.path, '.git/refs'), /inside the git directory/],
    [tree, /data folder/],
    // A repository of an agent, whose hooks would run on the host.
    [`file://${agentGit}`, /data folder/],
    [`file://${encodeURI(agentGit).replace('agent', '%61gent')}`, /data folder/],
  ];
  for (const [repository, text] of wrong) {
    await expect(inspect(f.context, { repository, baseBranch: 'main' })).rejects.toMatchObject({
      code: 'repository-not-found',
      message: expect.stringMatching(text),
    });
  }
});

test('a pending landing is reported as the tip', async () => {
  await using f = await fixture();
  writeFileSync(join(f.repository.path, 'README.md'), 'dirty');
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  await landOf(f, ready);
  expect(await inspect(f.context, { repository: f.address, baseBranch: 'main' })).toMatchObject({
    baseCommit: ready.commit,
  });
});

test('a diff is a patch, truncated if it is too long', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'one.txt': `${'x'.repeat(5_000)}\n`, 'README.md': 'changed\n' });
  const input = { repository: f.address, baseCommit: ready.tip, commit: ready.taskCommit };
  const whole = await diff(f.context, { ...input, bytesMax: 100_000 });
  expect(whole).toMatchObject({
    truncated: false,
    patch: expect.stringMatching(/^diff --git a\/README\.md b\/README\.md[^]*\n\+changed\n[^]*\n\+x{5000}\n$/),
  });
  const cut = await diff(f.context, { ...input, bytesMax: 100 });
  expect(cut).toEqual({ truncated: true, patch: whole.patch.slice(0, 100) });
  await expect(diff(f.context, { ...input, commit: '0'.repeat(40), bytesMax: 100 })).rejects.toMatchObject({
    code: 'not-found',
  });
  await expect(diff(f.context, { ...input, commit: '--output=/tmp/x', bytesMax: 100 })).rejects.toMatchObject({
    code: 'invalid-request',
  });
});

test.each([false, true])('a repository without commits is reported as such (remote: %s)', async (remote) => {
  await using f = await fixture({ remote, bare: true });
  await f.repository.git('update-ref', '-d', 'refs/heads/main');
  await expect(inspect(f.context, { repository: f.address, baseBranch: 'main' })).rejects.toMatchObject({
    code: 'branch-not-found',
    message: expect.stringMatching(/has no commits yet/),
  });
});

test('a partial clone is detected even if an included file configures it', async () => {
  await using f = await fixture();
  writeFileSync(join(f.repository.path, '.git/more'), '[remote "origin"]\n\tpromisor = true\n');
  await f.repository.git('config', 'include.path', 'more');
  await expect(inspect(f.context, { repository: f.address, baseBranch: 'main' })).rejects.toMatchObject({
    code: 'repository-not-found',
    message: expect.stringMatching(/partial clone/),
  });
});

test.each([
  { when: 'before', words: ['--git-common-dir', '--get-regexp', 'for-each-ref'] },
  { when: 'after', words: ['--git-common-dir'] },
])('a repository that is removed $when git looks at it is not found', async ({ when, words }) => {
  for (const word of words) {
    await using f = await fixture();
    const { git } = f.context;
    const remove = () => rmSync(f.repository.path, { recursive: true, force: true });
    const run: typeof git.run = async (args, options) => {
      const isMeant = args.includes(word);
      if (isMeant && when === 'before') remove();
      const result = await Git.prototype.run.call(git, args, options);
      if (isMeant && when === 'after') remove();
      return result;
    };
    git.run = run;
    await expect(inspect(f.context, { repository: f.address, baseBranch: 'main' })).rejects.toMatchObject({
      code: 'repository-not-found',
      message: expect.stringContaining(f.repository.path),
    });
  }
});

test("other users of the machine can't enter a store; a store that an earlier version made open is closed", async () => {
  await using f = await fixture();
  await f.prepared();
  const id = readdirSync(join(f.dataFolder, 'repositories'))[0] ?? '';
  const folder = join(f.dataFolder, 'repositories', id);
  const root = process.getuid?.() === 0;
  const expected = root ? { mode: 0o40710, uid: 0, gid: 10_001 } : { mode: 0o40700 };
  expect(lstatSync(folder)).toMatchObject(expected);
  chmodSync(folder, 0o755);
  if (root) chownSync(folder, 0, 0);
  const prepared = await f.prepared('another');
  expect(lstatSync(folder)).toMatchObject(expected);
  if (!root) return;
  const read = (account: string) =>
    shell(
      `exec setpriv --reuid ${account} --regid ${account} --clear-groups git -c safe.directory='*' --git-dir '${folder}/origin.git' cat-file -t ${prepared.baseCommit}`,
      '/',
    );
  expect(await read('10001')).toBe('commit\n');
  await expect(read('12345')).rejects.toThrow(/Command failed/);
});
