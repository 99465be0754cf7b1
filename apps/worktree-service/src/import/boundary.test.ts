/**
 * Tests that programs and settings that an agent plants in its worktree neither run on the host nor land. If plain git
 * runs a plant, the test shows that first. A harmless change beside the plant still lands.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  lstatSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { remove } from '../worktree/remove.ts';
import { date, fixture, runId, shell, taskId, write, type Fixture } from '../test-support/fixture.ts';

const run = promisify(execFile);

/** Creates a program that creates a file when it runs. */
function program(folder: string, name: string): { script: string; ran: () => boolean; forget: () => void } {
  const mark = join(folder, `${name}.ran`);
  const script = join(folder, `${name}.sh`);
  writeFileSync(script, `#!/bin/sh\ntouch '${mark}'\ncat 2>/dev/null\nexit 0\n`);
  chmodSync(script, 0o755);
  return { script, ran: () => existsSync(mark), forget: () => rmSync(mark, { force: true }) };
}

/** Replaces the worktree's `.git` by a repository of the agent's own. */
async function ownRepository(tree: string, settings: [string, string][]): Promise<void> {
  rmSync(join(tree, '.git'), { force: true });
  await shell('git init -q . && git add -A && git commit -qm base', tree);
  for (const [name, value] of settings) await run('git', ['config', '--file', join(tree, '.git/config'), name, value]);
}

async function expectHarmlessChangeLands(f: Fixture): Promise<void> {
  const result = await f.committed();
  expect(result).toMatchObject({ status: 'committed' });
  const commit = 'commit' in result ? result.commit : '';
  expect(await f.tasks('show', `${commit}:harmless.txt`)).toBe('harmless');
  expect(await f.tasks('ls-tree', '-r', '--name-only', commit)).not.toMatch(/\.git\//);
}

const plants: { name: string; plant: (tree: string, script: string) => Promise<void>; fire: string }[] = [
  {
    name: 'a hook',
    plant: async (tree, script) => {
      await ownRepository(tree, []);
      await shell(
        `mkdir -p .git/hooks && cp '${script}' .git/hooks/pre-commit && cp '${script}' .git/hooks/post-index-change`,
        tree,
      );
    },
    fire: 'git commit -q --allow-empty -m x',
  },
  {
    name: 'an fsmonitor',
    plant: (tree, script) => ownRepository(tree, [['core.fsmonitor', script]]),
    fire: 'git status',
  },
  {
    name: 'a clean filter',
    plant: async (tree, script) => {
      await ownRepository(tree, [
        ['filter.evil.clean', script],
        ['filter.evil.smudge', script],
      ]);
      write(tree, '.gitattributes', '* filter=evil\n');
      write(tree, 'filtered.txt', 'x');
    },
    fire: 'git add -A',
  },
  {
    name: 'a textconv',
    plant: async (tree, script) => {
      await ownRepository(tree, [['diff.evil.textconv', script]]);
      write(tree, '.gitattributes', '* diff=evil\n');
      write(tree, 'README.md', 'changed');
    },
    fire: 'git diff',
  },
];

test.each(plants)('$name runs under plain git, but not here', async ({ plant, fire }) => {
  await using f = await fixture();
  await using folder = await temporaryFolder('plants');
  const { tree } = await f.prepared();
  const planted = program(folder.path, 'planted');
  await plant(tree, planted.script);
  await shell(fire, tree).catch(() => {});
  expect(planted.ran()).toBe(true);
  planted.forget();
  write(tree, 'harmless.txt', 'harmless');
  await expectHarmlessChangeLands(f);
  await remove(f.context, {
    taskId,
    runId,
    effectId: 'remove',
    repository: f.repository.path,
    keepBranch: false,
    date,
  });
  expect(planted.ran()).toBe(false);
});

test('a .git file that points to a repository of the agent is not read', async () => {
  await using f = await fixture();
  await using folder = await temporaryFolder('plants');
  const { tree } = await f.prepared();
  const planted = program(folder.path, 'elsewhere');
  await shell('git init -q elsewhere', folder.path);
  await run('git', ['config', '--file', join(folder.path, 'elsewhere/.git/config'), 'core.fsmonitor', planted.script]);
  rmSync(join(tree, '.git'));
  writeFileSync(join(tree, '.git'), `gitdir: ${folder.path}/elsewhere/.git\n`);
  await shell('git status', tree).catch(() => {});
  expect(planted.ran()).toBe(true);
  planted.forget();
  write(tree, 'harmless.txt', 'harmless');
  await expectHarmlessChangeLands(f);
  await f.prepared();
  expect(planted.ran()).toBe(false);
});

test('objects, refs and index of the planted .git have no effect', async () => {
  await using f = await fixture({ files: { 'README.md': 'x', 'kept.txt': 'kept' } });
  const { tree } = await f.prepared();
  await ownRepository(tree, []);
  await shell(
    'git rm -q --cached kept.txt && git commit -qm "forged" && git update-index --assume-unchanged README.md',
    tree,
  );
  write(tree, 'README.md', 'really changed');
  const result = await f.committed();
  expect(result).toMatchObject({ status: 'committed', paths: ['README.md'] });
});

const refusals: {
  name: string;
  plant: (tree: string, f: Fixture) => Promise<void> | void;
  path: RegExp;
  then?: string;
}[] = [
  {
    name: 'a symlink to an absolute path',
    plant: (tree) => symlinkSync('/etc/passwd', join(tree, 'link')),
    path: /^link: it points outside/,
  },
  {
    name: 'a symlink out of the tree',
    plant: (tree) => symlinkSync('../../x', join(tree, 'link')),
    path: /^link: it points outside/,
  },
  {
    name: 'a symlink out of the tree through another symlink',
    plant: (tree) => {
      symlinkSync('.', join(tree, 'here'));
      symlinkSync('here/../../x', join(tree, 'link'));
    },
    path: /^link: it points outside/,
  },
  {
    name: 'a symlink into .git',
    plant: (tree) => symlinkSync('.GIT/config', join(tree, 'link')),
    path: /^link: it points into a git/,
  },
  {
    name: 'a symlink as .gitattributes',
    plant: (tree) => symlinkSync('README.md', join(tree, '.gitattributes')),
    path: /^\.gitattributes: git reads/,
  },
  {
    name: 'a tracked folder swapped for a symlink out',
    plant: (tree) => {
      rmSync(join(tree, 'dir'), { recursive: true });
      symlinkSync('/etc', join(tree, 'dir'));
    },
    path: /^dir: it points outside/,
  },
  {
    name: 'a nested repository',
    plant: async (tree) =>
      void (await shell('git init -q nested && cd nested && git commit -q --allow-empty -m x', tree)),
    path: /^nested\/\.git: .*nested repository/,
  },
  { name: 'a .git file below', plant: (tree) => write(tree, 'sub/.git', 'gitdir: /etc\n'), path: /^sub\/\.git: / },
  {
    name: 'submodule settings',
    plant: (tree) => write(tree, '.gitmodules', '[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch\n'),
    path: /^\.gitmodules: submodules/,
  },
  ...[
    '.GIT',
    '.Git',
    '.git ',
    '.git.',
    'git~1',
    'GIT~2',
    '.g\u200cit',
    '.git::$INDEX_ALLOCATION',
    'a\\.git',
    '.GITmodules',
  ].map((name) => ({
    name: `the name ${JSON.stringify(name)}`,
    plant: (tree: string) => write(tree, `${name}/hooks/pre-commit`, '#!/bin/sh\n'),
    path: /: (its name stands for \.git|submodules)/,
  })),
  {
    name: 'a fifo',
    plant: async (tree) => void (await run('mkfifo', [join(tree, 'pipe')])),
    path: /^pipe: it is neither/,
  },
  {
    name: 'a name with a line break',
    plant: (tree) => write(tree, 'a\nb', 'x'),
    path: /^"a\\nb": its name holds a control/,
  },
  {
    name: 'a name that is not UTF-8',
    plant: (tree) => writeFileSync(Buffer.concat([Buffer.from(`${tree}/x`), Buffer.from([0xff])]), 'x'),
    path: /not UTF-8/,
  },
  {
    name: 'a huge file',
    plant: (tree) => {
      write(tree, 'huge', '');
      truncateSync(join(tree, 'huge'), 2 ** 40);
    },
    path: /^huge: it has 1099511627776 bytes/,
  },
];

test.each(refusals)(
  '$name is rejected with its path; once it is removed, the harmless change lands',
  async ({ plant, path }) => {
    await using f = await fixture({ files: { 'README.md': 'x', 'dir/file.txt': 'x' } });
    const { tree, branch, baseCommit } = await f.prepared();
    write(tree, 'harmless.txt', 'harmless');
    const before = new Set(await entriesOf(tree));
    await plant(tree, f);
    await expect(f.committed()).rejects.toMatchObject({ code: 'import-refused', message: expect.stringMatching(path) });
    expect(await f.tasks('rev-parse', branch)).toBe(baseCommit);
    const planted = (entry: string) => !before.has(entry) || lstatSync(`${tree}/${entry}`).isSymbolicLink();
    for (const entry of (await entriesOf(tree)).filter(planted))
      rmSync(Buffer.from(`${tree}/${entry}`, 'latin1'), { recursive: true });
    await expectHarmlessChangeLands(f);
  },
);

async function entriesOf(tree: string): Promise<string[]> {
  const { stdout } = await run('ls', ['-A', '--zero', tree], { encoding: 'buffer' });
  return stdout
    .toString('latin1')
    .split('\0')
    .filter((name) => name !== '' && name !== '.git');
}

test("a change is found even if the file's times were set back", async () => {
  await using f = await fixture({ files: { 'README.md': 'abc', 'other.txt': 'x' } });
  const { tree } = await f.prepared();
  const before = lstatSync(join(tree, 'README.md'));
  writeFileSync(join(tree, 'README.md'), 'xyz');
  utimesSync(join(tree, 'README.md'), before.atime, before.mtime);
  expect(lstatSync(join(tree, 'README.md')).mtimeMs).toBe(before.mtimeMs);
  expect(await f.committed()).toMatchObject({ status: 'committed', paths: ['README.md'] });
});

test('a file that was only touched is not a change', async () => {
  await using f = await fixture({ files: { 'README.md': 'abc' } });
  const { tree } = await f.prepared();
  utimesSync(join(tree, 'README.md'), new Date(), new Date());
  expect(await f.committed()).toEqual({ status: 'no-changes', ignored: 0 });
});

test('a hard link is imported as a file of its own, and its content in the worktree stays unchanged', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'same bytes');
  linkSync(join(tree, 'one.txt'), join(tree, 'two.txt'));
  const result = await f.committed();
  expect(result).toMatchObject({ paths: ['one.txt', 'two.txt'] });
  await f.context.trash.settle();
  expect(readFileSync(join(tree, 'two.txt'), 'utf8')).toBe('same bytes');
});

test('names with quotes and leading dashes land unchanged', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  const names = ['--upload-pack=x', '-rf', 'a"b', "it's", 'c\\d', 'ü/é ☃', ' lead', 'trail ', '*', '$(touch x)'];
  for (const name of names) write(tree, name, name);
  const result = await f.committed();
  const commit = 'commit' in result ? result.commit : '';
  const listed = await f.tasks('ls-tree', '-r', '-z', '--name-only', commit);
  expect(
    listed
      .split('\0')
      .filter((name) => name !== '' && name !== 'README.md')
      .toSorted(),
  ).toEqual(names.toSorted());
  expect(await f.tasks('fsck', '--strict', '--no-dangling')).toBe('');
});

test('root reads an unreadable file; other users reject it with its path', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'secret.txt', 'x');
  chmodSync(join(tree, 'secret.txt'), 0o000);
  const outcome = await f.committed().catch((error: unknown) => error);
  const refusal = { code: 'import-refused', message: expect.stringMatching(/^secret\.txt: it may not be read/) };
  expect(outcome).toMatchObject(process.getuid?.() === 0 ? { status: 'committed' } : refusal);
});

test('a submodule stays as it is, and can be neither filled nor replaced', async () => {
  await using other = await fixture();
  await using f = await fixture({ files: { 'README.md': 'x' } });
  await f.repository.git(
    '-c',
    'protocol.file.allow=always',
    'submodule',
    '--quiet',
    'add',
    other.repository.path,
    'sub',
  );
  await f.repository.git('commit', '-qm', 'add a submodule');
  const { tree } = await f.prepared();
  write(tree, 'harmless.txt', 'harmless');
  write(tree, 'sub/file.txt', 'x');
  await expect(f.committed()).rejects.toMatchObject({
    code: 'import-refused',
    message: expect.stringMatching(/^sub\/file\.txt: submodules/),
  });
  rmSync(join(tree, 'sub'), { recursive: true });
  write(tree, 'sub', 'now a file');
  await expect(f.committed()).rejects.toMatchObject({ message: expect.stringMatching(/^sub: submodules/) });
  rmSync(join(tree, 'sub'));
  const result = await f.committed();
  expect(result).toMatchObject({ paths: ['harmless.txt'] });
  expect(await f.tasks('ls-tree', 'commit' in result ? result.commit : '', 'sub')).toMatch(/^160000 commit/);
});

test('an import beyond a limit is rejected, and the error names the limit', async () => {
  await using f = await fixture({ importLimits: { changedPathsMax: 3, totalBytesMax: 1_000 } });
  const { tree } = await f.prepared();
  for (const name of ['a', 'b', 'c', 'd']) write(tree, name, name);
  await expect(f.committed()).rejects.toMatchObject({
    code: 'limit-exceeded',
    message: expect.stringMatching(/more than 3 changed paths/),
  });
  for (const name of ['b', 'c', 'd']) rmSync(join(tree, name));
  write(tree, 'a', Buffer.alloc(2_000));
  await expect(f.committed()).rejects.toMatchObject({ message: expect.stringMatching(/more than 1000 bytes/) });
});

test('a folder that is moved away while it is imported is not followed', async () => {
  await using f = await fixture({ files: { 'dir/a.txt': 'a' } });
  const { tree } = await f.prepared();
  mkdirSync(join(tree, 'outside'));
  renameSync(join(tree, 'dir'), join(tree, 'outside/dir'));
  symlinkSync('outside/dir', join(tree, 'dir'));
  const result = await f.committed();
  expect(result).toMatchObject({ paths: ['dir', 'dir/a.txt', 'outside/dir/a.txt'] });
  expect(await f.tasks('ls-tree', 'commit' in result ? result.commit : '', 'dir')).toMatch(/^120000 blob/);
});
