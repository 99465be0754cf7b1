import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openContext } from '../open.ts';
import { date, fixture, message, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { checkpoint, commit } from './import.ts';

const files = {
  'README.md': '# x\n',
  'src/a.txt': 'a\nb\n',
  'src/b.txt': 'b\n',
  'run.sh': { text: '#!/bin/sh\n', executable: true },
};

async function committedOf(f: Fixture) {
  const result = await f.committed();
  if (result.status !== 'committed') throw new Error(result.status);
  return result;
}

test('changes, additions, deletions, modes and links become one conventional commit', async () => {
  await using f = await fixture({ files });
  const { tree, branch, baseCommit } = await f.prepared();
  write(tree, 'src/a.txt', 'a\nB\nc\n');
  write(tree, 'new/deep/file.txt', 'new\n');
  rmSync(join(tree, 'src/b.txt'));
  chmodSync(join(tree, 'run.sh'), 0o644);
  symlinkSync('../src/a.txt', join(tree, 'new/link'));
  mkdirSync(join(tree, 'empty'));
  const result = await committedOf(f);
  expect(result).toMatchObject({
    filesChanged: 5,
    additions: 4,
    deletions: 2,
    paths: ['new/deep/file.txt', 'new/link', 'run.sh', 'src/a.txt', 'src/b.txt'],
  });
  expect(await f.tasks('rev-parse', branch)).toBe(result.commit);
  expect(await f.tasks('log', '-1', '--format=%P %T', branch)).toBe(`${baseCommit} ${result.tree}`);
  expect(await f.tasks('log', '-1', '--format=%an <%ae> %aI %cI', branch)).toBe(
    'Coppice <coppice@coppice.invalid> 2026-02-03T04:05:06+00:00 2026-02-03T04:05:06+00:00',
  );
  expect(await f.tasks('log', '-1', '--format=%B', branch)).toBe(
    `feat(core): do it\n\nCoppice-Task: ${taskId}\nCoppice-Run: ${runId}\nCoppice-Effect: commit_${taskId}\n`,
  );
  expect(await f.tasks('ls-tree', '-r', '--format=%(objectmode) %(path)', branch)).toBe(
    '100644 README.md\n100644 new/deep/file.txt\n120000 new/link\n100644 run.sh\n100644 src/a.txt',
  );
  expect(await f.tasks('for-each-ref', 'refs/coppice/import')).toBe('');
  expect(await f.tasks('fsck', '--strict', '--no-dangling')).toBe('');
});

test('a worktree without changes is reported as such', async () => {
  await using f = await fixture({ files });
  await f.prepared();
  expect(await f.committed()).toEqual({ status: 'no-changes', ignored: 0 });
});

test('a file can become a folder, and a folder a file', async () => {
  await using f = await fixture({ files });
  const { tree } = await f.prepared();
  rmSync(join(tree, 'README.md'));
  write(tree, 'README.md/inside.txt', 'x');
  rmSync(join(tree, 'src'), { recursive: true });
  write(tree, 'src', 'now a file');
  const { commit: id } = await committedOf(f);
  expect(await f.tasks('ls-tree', '-r', '--name-only', id)).toBe('README.md/inside.txt\nrun.sh\nsrc');
});

test('ignored files are not committed; tracked files are never ignored', async () => {
  await using f = await fixture({ files: { ...files, '.gitignore': '*.log\nbuild/\n' } });
  await f.repository.git(
    'update-index',
    '--add',
    '--cacheinfo',
    `100644,${await f.repository.git('rev-parse', 'HEAD:README.md')},build/tracked.txt`,
  );
  await f.repository.git('commit', '-qm', 'track one file of an ignored folder');
  const { tree } = await f.prepared();
  write(tree, 'x.log', 'x');
  write(tree, 'build/other.txt', 'x');
  write(tree, 'build/tracked.txt', 'changed');
  write(tree, 'kept.txt', 'x');
  expect(await f.committed()).toMatchObject({ paths: ['build/tracked.txt', 'kept.txt'] });
});

test('a repeat with the same effect id returns the same result, whatever has happened to the worktree since', async () => {
  await using f = await fixture({ files });
  const { tree } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const [first, second] = await Promise.all([f.committed(), f.committed()]);
  write(tree, 'y.txt', 'y');
  expect([second, await f.committed()]).toEqual([first, first]);
  expect(await f.committed(taskId, 'another')).toMatchObject({ paths: ['y.txt'] });
});

test.each(['imported', 'commit-recorded'])('after a crash at %s, the repeat returns the same commit', async (point) => {
  await using f = await fixture({ files });
  const { tree, branch } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const crashing = await openContext({
    dataFolder: f.dataFolder,
    node: 'node1',
    reached: (at) => {
      if (at === point) throw new Error('crash');
    },
  });
  const input = { taskId, runId, effectId: `commit_${taskId}`, message: message(), protect: [] };
  await expect(commit(crashing, input)).rejects.toThrow('crash');
  const result = await committedOf(f);
  expect(await f.tasks('rev-list', '--count', branch)).toBe('2');
  expect(await f.tasks('rev-parse', branch)).toBe(result.commit);
});

test('attributes and line-end settings change no byte at checkout or import', async () => {
  await using f = await fixture();
  await f.repository.git('config', 'core.autocrlf', 'false');
  await f.repository.commit('bytes', { 'crlf.txt': 'a\r\nb\r\n', 'lf.txt': 'a\nb\n', 'ident.txt': '$Id$\n' });
  await f.repository.commit('attributes', { '.gitattributes': '* text=auto eol=crlf\nident.txt ident\n' });
  const { tree } = await f.prepared();
  const bytes = ['crlf.txt', 'lf.txt', 'ident.txt'].map((path) => readFileSync(join(tree, path), 'utf8'));
  expect(bytes).toEqual(['a\r\nb\r\n', 'a\nb\n', '$Id$\n']);
  expect(await f.committed()).toEqual({ status: 'no-changes', ignored: 0 });
  write(tree, 'crlf.txt', 'a\r\nB\r\n');
  const { commit: id } = await committedOf(f);
  expect(await f.tasks('show', `${id}:crlf.txt`)).toBe('a\r\nB\r');
});

test('large files are streamed', async () => {
  await using f = await fixture({ files });
  const { tree } = await f.prepared();
  write(tree, 'large.bin', Buffer.alloc(9 * 1024 * 1024, 'x'));
  const { commit: id } = await committedOf(f);
  expect(await f.tasks('cat-file', '-s', `${id}:large.bin`)).toBe(String(9 * 1024 * 1024));
});

test('protected paths are reported, whatever their case', async () => {
  await using f = await fixture({ files });
  const { tree } = await f.prepared();
  for (const path of ['.github/workflows/ci.yml', '.GitHub/x', 'package.json', 'src/ok.txt', '.github/a"b'])
    write(tree, path, 'x');
  const result = await f.committed(taskId, 'protected', ['.github/**', 'package.json']);
  expect(result).toMatchObject({
    protectedPaths: ['.GitHub/x', '".github/a\\"b"', '.github/workflows/ci.yml', 'package.json'],
  });
});

test('a pattern without a slash protects a name at any depth, and everything in a folder of that name', async () => {
  await using f = await fixture({ files });
  const { tree } = await f.prepared();
  for (const path of [
    'src/deep/Secret.PEM',
    'top.pem',
    'a/terraform/b/c.tf',
    'src/pem.txt',
    'docs/x.md',
    'a/docs/x.md',
  ])
    write(tree, path, 'x');
  expect(await f.committed(taskId, 'protected', ['*.pem', 'terraform', 'docs/*'])).toMatchObject({
    protectedPaths: ['a/terraform/b/c.tf', 'docs/x.md', 'src/deep/Secret.PEM', 'top.pem'],
  });
});

test('ignored files are counted if there are no other changes', async () => {
  await using f = await fixture({ files: { '.gitignore': '*.log\nbuild/\n' } });
  const { tree } = await f.prepared();
  for (const path of ['a.log', 'b.log', 'build/one', 'build/two']) write(tree, path, 'x');
  expect(await f.committed()).toEqual({ status: 'no-changes', ignored: 3 });
});

test('a checkpoint saves the current state without moving the branch', async () => {
  await using f = await fixture({ files });
  const { tree, branch, baseCommit } = await f.prepared();
  const input = { taskId, runId, date };
  expect(await checkpoint(f.context, { ...input, effectId: 'c1' })).toEqual({ commit: null });
  write(tree, 'x.txt', '1');
  await checkpoint(f.context, { ...input, effectId: 'c2' });
  writeFileSync(join(tree, 'x.txt'), '2');
  const { commit: id } = await checkpoint(f.context, { ...input, effectId: 'c3' });
  expect(await f.tasks('show', `refs/coppice/checkpoint/${taskId}:x.txt`)).toBe('2');
  expect(await f.tasks('rev-parse', `refs/coppice/checkpoint/${taskId}`)).toBe(id);
  expect(await f.tasks('rev-parse', branch)).toBe(baseCommit);
});

test('an import succeeds although a killed import has left a .keep file for the same pack', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  for (let count = 0; count < 150; count++) write(tree, `files/${count}.txt`, `${count}`);
  const first = await f.committed();
  // Git stores this many objects as a pack, whose name depends only on its content.
  const [repository = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  const packs = join(f.dataFolder, 'repositories', repository, 'tasks.git/objects/pack');
  const [pack = ''] = readdirSync(packs).filter((name) => name.endsWith('.pack'));
  writeFileSync(join(packs, pack.replace(/pack$/, 'keep')), 'fast-import');
  rmSync(join(packs, pack));
  rmSync(join(packs, pack.replace(/pack$/, 'idx')));
  await f.tasks('for-each-ref', '--format=%(refname)').then(async (refs) => {
    for (const ref of refs.split('\n').filter((each) => each.includes('done'))) rmSync(join(packs, '../..', ref));
  });
  await f.tasks('update-ref', 'refs/heads/coppice/task1/slug', await f.repository.head());
  expect(await f.committed()).toEqual(first);
  expect(await f.tasks('fsck', '--strict', '--no-dangling')).toBe('');
});

test("drafts that a killed process of ours has left are not imported, and don't prevent the import of other files", async () => {
  const tracked = `.coppice-draft-tracked`;
  await using f = await fixture({ files: { [tracked]: 'as it was' } });
  const { tree } = await f.prepared();
  const drafts = [`.coppice-${randomUUID()}`, 'src/.coppice-draft-write_1', '.coppice-draft-folder/file.txt'];
  for (const draft of drafts) write(tree, draft, 'half of a fi');
  expect(await f.committed(taskId, 'first')).toEqual({ status: 'no-changes', ignored: 0 });
  write(tree, tracked, 'half');
  write(tree, 'src/whole.txt', 'whole');
  write(tree, '.coppice.yaml', 'a: 1');
  expect(await f.committed(taskId, 'second')).toMatchObject({ paths: ['.coppice.yaml', 'src/whole.txt'] });
  rmSync(join(tree, tracked));
  expect(await f.committed(taskId, 'third')).toMatchObject({ paths: [tracked] });
});

test('checkpoints of a task that keeps changing its files add no more than their limit to the store', async () => {
  const random = () => execFileSync('head', ['-c', '1000000', '/dev/urandom']);
  await using f = await fixture({ importLimits: { checkpointBytesMax: 2_500_000 } });
  const { tree } = await f.prepared();
  const made: boolean[] = [];
  for (let count = 1; count <= 6; count++) {
    write(tree, 'random', random());
    const { commit: kept } = await checkpoint(f.context, { taskId, runId, effectId: `${taskId}_${count}`, date });
    made.push(kept !== null);
  }
  expect(made).toEqual([true, true, true, false, false, false]);
  const size = /^size: (\d+)$/m.exec(await f.tasks('count-objects', '-v'))?.[1];
  expect(Number(size)).toBeLessThan(3_500);
  // An unchanged file counts only in the first checkpoint.
  const { tree: quiet } = await f.prepared('quiet');
  write(quiet, 'random', random());
  for (let count = 1; count <= 6; count++) {
    write(quiet, 'small.txt', `${count}`);
    const input = { taskId: 'quiet', runId, effectId: `quiet_${count}`, date };
    expect(await checkpoint(f.context, input)).toMatchObject({ commit: expect.any(String) as string });
  }
});
