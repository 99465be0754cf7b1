import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { commit } from '../import/import.ts';
import type { ImportLimits } from '../import/limits.ts';
import { prepareMerge } from '../merge/prepare-merge.ts';
import { fixture, message, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { digDeep } from '../test-support/plants.ts';
import { prepare } from '../worktree/prepare.ts';
import { resolveSetup } from './inputs.ts';
import { discardSetup, prepareSetup, sealSetup } from './setup.ts';

const run = promisify(execFile);
const files = { 'package.json': '{}', 'lock.json': '{}', 'src/a.txt': 'a' };
const setupKey = 'key1';
const inputs = ['package.json', 'lock.json'];
const attempt = 1;

async function treeOf(f: Fixture, task = taskId, key = setupKey, number = attempt): Promise<string> {
  const { baseCommit } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  const prepared = await prepareSetup(f.context, {
    taskId: task,
    repository: f.address,
    baseCommit,
    setupKey: key,
    attempt: number,
  });
  if (prepared.status !== 'prepared') throw new Error(prepared.status);
  return prepared.mounts[0]?.source ?? '';
}

/** Creates files like an installation. */
function install(tree: string): void {
  write(tree, 'node_modules/x/index.js', 'module.exports = 1;\n');
  write(tree, 'src/generated/b.txt', 'b');
  mkdirSync(join(tree, 'node_modules/.bin'));
  symlinkSync('../x/index.js', join(tree, 'node_modules/.bin/x'));
  symlinkSync('/usr/bin/env', join(tree, 'node_modules/.bin/env'));
  writeFileSync(join(tree, 'package.json'), '{"changed": true}');
}

async function sealed(f: Fixture): Promise<void> {
  install(await treeOf(f));
  expect(await sealSetup(f.context, { taskId, setupKey, attempt })).toEqual({ files: 4 });
}

const workTree = async (f: Fixture, task = taskId) => {
  const made = await prepare(f.context, {
    effectId: 'life_1',
    taskId: task,
    repository: f.address,
    baseBranch: 'main',
    slug: 'slug',
    setupKey,
  });
  return made.mounts[0]?.source ?? '';
};

test("the files that a setup left are copied into the worktree, and are not part of the task's work", async () => {
  await using f = await fixture({ files });
  await sealed(f);
  const tree = await workTree(f);
  expect(readFileSync(join(tree, 'node_modules/x/index.js'), 'utf8')).toContain('module.exports');
  expect(readlinkSync(join(tree, 'node_modules/.bin/env'))).toBe('/usr/bin/env');
  expect(readFileSync(join(tree, 'package.json'), 'utf8')).toBe('{}');
  expect(lstatSync(join(tree, 'node_modules')).uid).toBe(lstatSync(tree).uid);
  const input = { taskId, runId, message: message(), protect: [] };
  expect(await commit(f.context, { ...input, effectId: 'one' })).toEqual({ status: 'no-changes', ignored: 0 });
  write(tree, 'src/generated/b.txt', 'changed by the task');
  write(tree, 'src/a.txt', 'changed');
  expect(await commit(f.context, { ...input, effectId: 'two' })).toMatchObject({
    paths: ['src/a.txt', 'src/generated/b.txt'],
  });
});

/** Restores a folder from a backup. Every file gets a new inode and ctime, and an mtime in whole seconds. */
async function restore(folder: string): Promise<void> {
  await run('sh', ['-ec', 'tar -cf ../backup.tar . && find . -mindepth 1 -delete && tar -xpf ../backup.tar'], {
    cwd: folder,
  });
}

test("the files that a setup left are not part of the task's work after the data folder was restored either", async () => {
  await using f = await fixture({ files, importLimits: { changedPathsMax: 2 } });
  const first = await treeOf(f);
  write(first, '.env', 'SECRET=of the setup');
  install(first);
  await sealSetup(f.context, { taskId, setupKey, attempt });
  const tree = await workTree(f);
  const input = { taskId, runId, message: message(), protect: [] };
  await restore(f.dataFolder);
  expect(await commit(f.context, { ...input, effectId: 'one' })).toEqual({ status: 'no-changes', ignored: 0 });
  write(tree, 'src/generated/b.txt', 'c');
  write(tree, 'src/a.txt', 'b');
  expect(await commit(f.context, { ...input, effectId: 'two' })).toMatchObject({
    paths: ['src/a.txt', 'src/generated/b.txt'],
  });
});

/** Creates a setup with four files of 2,000 bytes, touches some of them in a worktree, and commits. */
async function touched(limits: Partial<ImportLimits>, names: readonly string[]) {
  await using f = await fixture({ files, importLimits: limits });
  const first = await treeOf(f);
  for (const name of ['one', 'two', 'three', 'four']) write(first, `${name}.bin`, 'x'.repeat(2_000));
  await sealSetup(f.context, { taskId, setupKey, attempt });
  const tree = await workTree(f);
  for (const name of names) utimesSync(join(tree, `${name}.bin`), 5, 5);
  return await commit(f.context, { taskId, runId, effectId: 'one', message: message(), protect: [] });
}

test('comparing the files that a setup left has a budget of bytes, and files too large to land have a smaller one', async () => {
  const unchanged = { status: 'no-changes', ignored: 0 };
  const large = { fileBytesMax: 1_000, comparedLargeBytesMax: 3_000 };
  expect(await touched(large, ['one'])).toEqual(unchanged);
  await expect(touched(large, ['one', 'two'])).rejects.toMatchObject({
    code: 'import-refused',
    message: expect.stringMatching(/^(one|two)\.bin: it has 2000 bytes, more than the limit of 1000/),
  });
  const small = { comparedBytesMax: 5_000 };
  expect(await touched(small, ['one', 'two'])).toEqual(unchanged);
  await expect(touched(small, ['one', 'two', 'three'])).rejects.toMatchObject({
    code: 'limit-exceeded',
    message: 'the import has more than 5000 bytes in files that were written to but may be unchanged',
  });
});

test('a large sparse file that a setup left is rejected without being read', async () => {
  await using f = await fixture({ files });
  const first = await treeOf(f);
  write(first, 'disk.img', '');
  truncateSync(join(first, 'disk.img'), 1024 ** 3);
  await sealSetup(f.context, { taskId, setupKey, attempt });
  const tree = await workTree(f);
  const input = { taskId, runId, message: message(), protect: [] };
  expect(await commit(f.context, { ...input, effectId: 'one' })).toEqual({ status: 'no-changes', ignored: 0 });
  utimesSync(join(tree, 'disk.img'), 5, 5);
  await expect(commit(f.context, { ...input, effectId: 'two' })).rejects.toMatchObject({
    code: 'import-refused',
    message: expect.stringContaining('disk.img: it has 1073741824 bytes, more than the limit of 67108864'),
  });
});

test('the first sealed attempt wins, a repeat finds it, and each task has its own attempt', async () => {
  await using f = await fixture({ files });
  const [one, two] = [await treeOf(f, 'one'), await treeOf(f, 'two')];
  expect(one).not.toBe(two);
  expect(await treeOf(f, 'one')).toBe(one);
  write(one, 'result.txt', 'of one');
  write(two, 'result.txt', 'of two');
  write(two, 'more.txt', 'x');
  const seals = await Promise.all([
    sealSetup(f.context, { taskId: 'one', setupKey, attempt }),
    sealSetup(f.context, { taskId: 'one', setupKey, attempt }),
  ]);
  expect(seals).toEqual([{ files: 1 }, { files: 1 }]);
  expect(await sealSetup(f.context, { taskId: 'two', setupKey, attempt })).toEqual({ files: 1 });
  const { baseCommit } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  expect(
    await prepareSetup(f.context, { taskId: 'three', repository: f.address, baseCommit, setupKey, attempt }),
  ).toEqual({
    status: 'sealed',
  });
  expect(readFileSync(join(await workTree(f), 'result.txt'), 'utf8')).toBe('of one');
});

test('a setup that leaves no files can be sealed; a setup that was never prepared can not', async () => {
  await using f = await fixture({ files });
  await treeOf(f);
  expect(await sealSetup(f.context, { taskId, setupKey, attempt })).toEqual({ files: 0 });
  await expect(sealSetup(f.context, { taskId, setupKey: 'other', attempt })).rejects.toMatchObject({
    code: 'not-found',
  });
});

test('links of the tree are neither followed nor overwritten', async () => {
  await using f = await fixture({ files });
  const tree = await treeOf(f);
  write(tree, 'linked/secret.txt', 'of setup');
  write(tree, 'file.txt', 'of setup');
  await sealSetup(f.context, { taskId, setupKey, attempt });
  await f.repository.git('rm', '-q', '--cached', 'src/a.txt');
  symlinkSync('src', join(f.repository.path, 'linked'));
  symlinkSync('package.json', join(f.repository.path, 'file.txt'));
  await f.repository.git('add', 'linked', 'file.txt');
  await f.repository.git('commit', '-qm', 'links in the way');
  const work = await workTree(f);
  expect(readlinkSync(join(work, 'linked'))).toBe('src');
  expect(readFileSync(join(work, 'package.json'), 'utf8')).toBe('{}');
  expect(existsSync(join(work, 'src/secret.txt'))).toBe(false);
});

test("a merged tree gets the files that a setup left, unless the setup's inputs differ in the tree", async () => {
  await using f = await fixture({ files });
  const { inputsHash } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  await sealed(f);
  const setup = { setupKey, inputs, inputsHash };
  const merge = async (task: string, changes: Record<string, string | null>) => {
    const tree = await workTree(f, task);
    for (const [path, content] of Object.entries(changes)) {
      if (content === null) rmSync(join(tree, path));
      else write(tree, path, content);
    }
    const made = await commit(f.context, {
      taskId: task,
      runId,
      effectId: `c_${task}`,
      message: message(),
      protect: [],
    });
    const merged = await prepareMerge(f.context, {
      taskId: task,
      runId,
      effectId: `m_${task}`,
      repository: f.address,
      targetBranch: 'main',
      taskCommit: 'commit' in made ? made.commit : '',
      method: 'squash',
      message: message(),
      checkout: { when: 'always' },
      setup,
    });
    if (merged.status !== 'merged-in-store' || merged.checkout === null) throw new Error(merged.status);
    return { current: merged.checkout.setupIsCurrent, tree: merged.checkout.mounts[0]?.source ?? '' };
  };
  const same = await merge('same', { 'src/a.txt': 'changed' });
  expect(same.current).toBe(true);
  expect(readFileSync(join(same.tree, 'src/a.txt'), 'utf8')).toBe('changed');
  expect(existsSync(join(same.tree, 'node_modules/x/index.js'))).toBe(true);
  for (const changes of [{ 'package.json': '{"x": 1}' }, { 'lock.json': null }]) {
    const differs = await merge(`differs${Object.keys(changes)[0]?.length}`, changes);
    expect(differs.current).toBe(false);
    expect(existsSync(join(differs.tree, 'node_modules'))).toBe(false);
  }
});

test('the hash covers only the inputs, or the whole tree if there are none', async () => {
  await using f = await fixture({ files });
  const hash = async (paths: string[]) =>
    (await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs: paths })).inputsHash;
  const before = [await hash(inputs), await hash([])];
  expect(await hash(inputs.toReversed())).toBe(before[0]);
  await f.repository.commit('other', { 'src/a.txt': 'b' });
  expect(await hash(inputs)).toBe(before[0]);
  expect(await hash([])).not.toBe(before[1]);
  await f.repository.commit('input', { 'package.json': '{"b": 1}' });
  expect(await hash(inputs)).not.toBe(before[0]);
});

test('a new attempt never gets the tree of an old one, and a failed attempt is removed on request', async () => {
  await using f = await fixture({ files });
  const first = await treeOf(f);
  write(first, 'half-done.txt', 'x');
  const second = await treeOf(f, taskId, setupKey, 2);
  expect(existsSync(join(second, 'half-done.txt'))).toBe(false);
  for (let times = 0; times < 2; times++)
    expect(await discardSetup(f.context, { taskId, setupKey, attempt })).toEqual({});
  expect(existsSync(first)).toBe(false);
  await expect(sealSetup(f.context, { taskId, setupKey, attempt })).rejects.toMatchObject({ code: 'not-found' });
  write(second, 'done.txt', 'x');
  expect(await sealSetup(f.context, { taskId, setupKey, attempt: 2 })).toEqual({ files: 1 });
  expect(readdirSync(join(f.context.layout.setup(setupKey), 'attempts'))).toEqual([]);
  expect(await discardSetup(f.context, { taskId, setupKey, attempt: 2 })).toEqual({});
  expect(readFileSync(join(await workTree(f), 'done.txt'), 'utf8')).toBe('x');
});

test('an input that is not in the base is rejected, and the error names it', async () => {
  await using f = await fixture({ files });
  await expect(
    resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs: ['package.json', 'lokc.json'] }),
  ).rejects.toMatchObject({
    code: 'invalid-request',
    message: expect.stringContaining('lokc.json'),
    details: { issues: [{ field: 'setup.inputs', expected: 'a file of the base branch main', received: 'lokc.json' }] },
  });
});

test('folders too deep to be copied are rejected before anything is moved', async () => {
  await using f = await fixture({ files });
  const tree = await treeOf(f);
  write(tree, 'aaa/first.txt', 'x');
  await digDeep(tree, 60, 200);
  await expect(sealSetup(f.context, { taskId, setupKey, attempt })).rejects.toMatchObject({
    code: 'limit-exceeded',
    retryable: false,
    message: expect.stringContaining('its path is longer than 3000 bytes'),
  });
  expect(existsSync(join(tree, 'aaa/first.txt'))).toBe(true);
  await discardSetup(f.context, { taskId, setupKey, attempt });
  await f.context.trash.settle();
  expect(readdirSync(f.context.layout.trash)).toEqual([]);
});
