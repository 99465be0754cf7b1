import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commit } from '../import/import.ts';
import { prepareMerge } from '../merge/prepare-merge.ts';
import { fixture, message, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { prepare } from '../worktree/prepare.ts';
import { resolveSetup } from './inputs.ts';
import { prepareSetup, sealSetup } from './setup.ts';

const files = { 'package.json': '{}', 'src/a.txt': 'a' };
const setupKey = 'key1';
const inputs = ['package.json', 'absent.json'];

async function treeOf(f: Fixture, task = taskId, key = setupKey): Promise<string> {
  const { baseCommit } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  const prepared = await prepareSetup(f.context, { taskId: task, repository: f.address, baseCommit, setupKey: key });
  if (prepared.status !== 'prepared') throw new Error(prepared.status);
  return prepared.mounts[0]?.source ?? '';
}

/** What an installation leaves. */
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
  expect(await sealSetup(f.context, { taskId, setupKey })).toEqual({ files: 4 });
}

const workTree = async (f: Fixture, task = taskId) => {
  const made = await prepare(f.context, {
    taskId: task,
    repository: f.address,
    baseBranch: 'main',
    slug: 'slug',
    setupKey,
  });
  return made.mounts[0]?.source ?? '';
};

test('what setup left is copied into the worktree, and is not the work of the task', async () => {
  await using f = await fixture({ files });
  await sealed(f);
  const tree = await workTree(f);
  expect(readFileSync(join(tree, 'node_modules/x/index.js'), 'utf8')).toContain('module.exports');
  expect(readlinkSync(join(tree, 'node_modules/.bin/env'))).toBe('/usr/bin/env');
  expect(readFileSync(join(tree, 'package.json'), 'utf8')).toBe('{}');
  expect(lstatSync(join(tree, 'node_modules')).uid).toBe(lstatSync(tree).uid);
  const input = { taskId, runId, message: message(), protect: [] };
  expect(await commit(f.context, { ...input, effectId: 'one' })).toEqual({ status: 'no-changes' });
  write(tree, 'src/generated/b.txt', 'changed by the task');
  write(tree, 'src/a.txt', 'changed');
  expect(await commit(f.context, { ...input, effectId: 'two' })).toMatchObject({
    paths: ['src/a.txt', 'src/generated/b.txt'],
  });
});

test('the first seal wins, a repeat finds it, and each task has an attempt of its own', async () => {
  await using f = await fixture({ files });
  const [one, two] = [await treeOf(f, 'one'), await treeOf(f, 'two')];
  expect(one).not.toBe(two);
  expect(await treeOf(f, 'one')).toBe(one);
  write(one, 'result.txt', 'of one');
  write(two, 'result.txt', 'of two');
  write(two, 'more.txt', 'x');
  const seals = await Promise.all([
    sealSetup(f.context, { taskId: 'one', setupKey }),
    sealSetup(f.context, { taskId: 'one', setupKey }),
  ]);
  expect(seals).toEqual([{ files: 1 }, { files: 1 }]);
  expect(await sealSetup(f.context, { taskId: 'two', setupKey })).toEqual({ files: 1 });
  const { baseCommit } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  expect(await prepareSetup(f.context, { taskId: 'three', repository: f.address, baseCommit, setupKey })).toEqual({
    status: 'sealed',
  });
  expect(readFileSync(join(await workTree(f), 'result.txt'), 'utf8')).toBe('of one');
});

test('a setup that leaves nothing is one too, a setup that was never prepared is none', async () => {
  await using f = await fixture({ files });
  await treeOf(f);
  expect(await sealSetup(f.context, { taskId, setupKey })).toEqual({ files: 0 });
  await expect(sealSetup(f.context, { taskId, setupKey: 'other' })).rejects.toMatchObject({ code: 'not-found' });
});

test('links of the tree are neither followed nor overwritten', async () => {
  await using f = await fixture({ files });
  const tree = await treeOf(f);
  write(tree, 'linked/secret.txt', 'of setup');
  write(tree, 'file.txt', 'of setup');
  await sealSetup(f.context, { taskId, setupKey });
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

test("a merged tree gets what setup left, unless setup's inputs differ in it", async () => {
  await using f = await fixture({ files });
  const { inputsHash } = await resolveSetup(f.context, { repository: f.address, baseBranch: 'main', inputs });
  await sealed(f);
  const setup = { setupKey, inputs, inputsHash };
  const merge = async (task: string, changes: Record<string, string>) => {
    const tree = await workTree(f, task);
    for (const [path, content] of Object.entries(changes)) write(tree, path, content);
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
  for (const changes of [{ 'package.json': '{"x": 1}' }, { 'absent.json': 'now there' }]) {
    const differs = await merge(`differs${Object.keys(changes)[0]?.length}`, changes);
    expect(differs.current).toBe(false);
    expect(existsSync(join(differs.tree, 'node_modules'))).toBe(false);
  }
});

test('the hash is of the inputs alone, and of the whole tree where there are none', async () => {
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
