import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { openRepository } from '../context.ts';
import { openContext } from '../open.ts';
import { fixture, shell, type Fixture } from '../test-support/fixture.ts';
import type { Store } from './store.ts';

async function storeOf(f: Fixture): Promise<Store> {
  const { store } = await openRepository(f.context, f.address);
  await store.create('sha1');
  return store;
}

const fetchTip = async (f: Fixture) => {
  const { origin, store } = await openRepository(f.context, f.address);
  return (await store.fetchTip(origin, f.repository.branch, 'baseBranch')).tip;
};

/**
 * Adds only the commit object to the store, like an interrupted fetch that unpacks one object at a time. Git writes the
 * newest object first.
 */
const plantCommit = (f: Fixture, store: Store, commit: string) =>
  shell(
    `git cat-file commit ${commit} | git --git-dir='${store.originGit}' hash-object -t commit -w --stdin`,
    f.repository.path,
  );

test.each(['first', 'later'])(
  'at the %s fetch, a commit that is already in the store, but without its files, is fetched with them',
  async (which) => {
    await using f = await fixture();
    if (which === 'later') await f.prepared('earlier');
    const store = await storeOf(f);
    const tip = await f.repository.commit('feat: more', { 'more.txt': 'more\n' });
    await plantCommit(f, store, tip);
    const { tree, baseCommit } = await f.prepared();
    expect(baseCommit).toBe(tip);
    expect(readFileSync(join(tree, 'more.txt'), 'utf8')).toBe('more\n');
  },
);

test('if a fetch fails, its commit does not count as fetched, even if it is already in the store', async () => {
  await using f = await fixture();
  const store = await storeOf(f);
  const tip = await f.repository.commit('feat: more', { 'more.txt': 'more\n' });
  await plantCommit(f, store, tip);
  const blob = await f.repository.git('rev-parse', `${tip}:more.txt`);
  rmSync(join(f.repository.path, '.git/objects', blob.slice(0, 2), blob.slice(2)));
  await expect(f.prepared()).rejects.toMatchObject({ code: 'git-failed' });
  await f.repository.git('hash-object', '-w', 'more.txt');
  expect(readFileSync(join((await f.prepared()).tree, 'more.txt'), 'utf8')).toBe('more\n');
});

test('fetched objects appear together, even in a store that an earlier version configured otherwise', async () => {
  await using f = await fixture();
  const store = await storeOf(f);
  await shell('git config transfer.unpackLimit 100', store.originGit);
  await f.prepared();
  expect(readdirSync(join(store.originGit, 'objects')).toSorted()).toEqual(['info', 'pack']);
});

test('the next fetch removes files that a killed fetch has left, but no recent ones', async () => {
  await using f = await fixture();
  const store = await storeOf(f);
  await fetchTip(f);
  const [fetched = ''] = readdirSync(join(store.originGit, 'refs/fetched'));
  const plant = (path: string, ageMinutes: number) => {
    const file = join(store.originGit, path);
    writeFileSync(file, 'half');
    const written = new Date(Date.now() - ageMinutes * 60_000);
    utimesSync(file, written, written);
    return file;
  };
  const old = ['objects/pack/tmp_pack_old', 'objects/pack/tmp_idx_old', `refs/fetched/${fetched}.lock`];
  const left = old.map((path) => plant(path, 20));
  const young = plant('objects/pack/tmp_pack_young', 5);
  const tip = await f.repository.commit('feat: more', { 'more.txt': 'more\n' });
  expect(await fetchTip(f)).toBe(tip);
  expect([...left, young].filter((file) => existsSync(file))).toEqual([young]);
});

test('the next start removes files that a killed merge or import has left, but none in use', async () => {
  await using f = await fixture();
  const store = await storeOf(f);
  const [left, used] = ['merge-left', 'merge-used'].map((name) => store.scratchFolder(name));
  for (const folder of [left, used]) mkdirSync(join(folder ?? '', 'tree'), { recursive: true });
  const packs = ['old', 'young'].map((name) => join(store.tasksGit, 'objects/pack', `tmp_pack_${name}`));
  for (const pack of packs) {
    mkdirSync(dirname(pack), { recursive: true });
    writeFileSync(pack, 'half');
  }
  const written = new Date(Date.now() - 25 * 3_600_000);
  utimesSync(packs[0] ?? '', written, written);
  await f.context.locks.hold('merge-used', async () => {
    await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  });
  expect([left, used, ...packs].map((path) => existsSync(path ?? ''))).toEqual([false, true, false, true]);
});

test('after many fetches, there is one index over all their packs', async () => {
  await using f = await fixture();
  const store = await storeOf(f);
  for (let number = 0; number < 50; number++) {
    await f.repository.git('commit', '--quiet', '--allow-empty', '--message', `chore: ${number}`);
    await fetchTip(f);
  }
  expect(existsSync(join(store.originGit, 'objects/pack/multi-pack-index'))).toBe(true);
  expect(await fetchTip(f)).toBe(await f.repository.head());
  await shell('git fsck', store.originGit);
});
