/** Tests that a landing in a user's checkout keeps the user's own changes and branches. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { fixture, shell, type Fixture } from '../test-support/fixture.ts';
import { interfere, mergeWords } from '../test-support/interfere.ts';
import { landInput, landOf, readyTask } from '../test-support/task.ts';
import { land } from './land.ts';

const file = (f: Fixture, path: string) => join(f.repository.path, path);
const read = (f: Fixture, path: string) => readFileSync(file(f, path), 'utf8');

test.each(['before', 'after'] as const)(
  "if the user switches branches just %s the merge, the user's branch does not move",
  async (when) => {
    await using f = await fixture({ files: { 'README.md': 'x', 'same.txt': 'x' } });
    await f.repository.git('branch', 'feature');
    const tip = await f.repository.head('feature');
    const ready = await readyTask(f, 'one', { 'one.txt': '1', 'README.md': 'changed' });
    {
      using _ = interfere(f, mergeWords, 'git switch -q feature', when);
      expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
    }
    expect(await f.repository.head('feature')).toBe(tip);
    expect(await f.repository.head('main')).toBe(ready.commit);
    expect(await f.repository.git('branch', '--show-current')).toBe('feature');
    expect(await f.repository.git('status', '--porcelain')).toBe('');
    expect(read(f, 'README.md')).toBe('x');
    expect(existsSync(file(f, 'one.txt'))).toBe(false);
  },
);

test("the user's branch keeps all of its own work, even where it equals the landing", async () => {
  await using f = await fixture();
  await f.repository.git('switch', '-qc', 'feature');
  const tip = await f.repository.commit('its own', { 'one.txt': '1', 'own.txt': 'own' });
  await f.repository.git('switch', '-q', 'main');
  const ready = await readyTask(f, 'one', { 'one.txt': '1', 'two.txt': '2' });
  {
    using _ = interfere(f, mergeWords, 'git switch -q feature');
    expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  }
  expect(await f.repository.head('feature')).toBe(tip);
  expect(await f.repository.git('status', '--porcelain')).toBe('');
  expect(read(f, 'one.txt') + read(f, 'own.txt')).toBe('1own');
  expect(existsSync(file(f, 'two.txt'))).toBe(false);
});

test("if the files of the user's branch differ from the landing, git refuses, and the target moves without a checkout", async () => {
  await using f = await fixture();
  await f.repository.git('switch', '-qc', 'feature');
  const tip = await f.repository.commit('its own', { 'README.md': 'its own' });
  await f.repository.git('switch', '-q', 'main');
  const ready = await readyTask(f, 'one', { 'README.md': 'landed' });
  {
    using _ = interfere(f, mergeWords, 'git switch -q feature');
    expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  }
  expect(await f.repository.head('feature')).toBe(tip);
  expect(await f.repository.head('main')).toBe(ready.commit);
  expect(await f.repository.git('status', '--porcelain')).toBe('');
  expect(read(f, 'README.md')).toBe('its own');
});

test("files that cannot be reset to the user's branch are reported, with the command that resets them", async () => {
  await using f = await fixture();
  await f.repository.git('branch', 'feature');
  const ready = await readyTask(f, 'one', { 'README.md': 'landed\n' });
  const script = 'git symbolic-ref HEAD refs/heads/feature; echo mine >> README.md';
  let landing;
  {
    using _ = interfere(f, mergeWords, script, 'after');
    landing = await landOf(f, ready);
  }
  expect(landing).toMatchObject({
    status: 'landed-pending',
    commit: ready.commit,
    reason: expect.stringMatching(/main has the work, but .* was switched to another branch .*README\.md/),
  });
  expect(read(f, 'README.md')).toBe('landed\nmine\n');
  if (landing.status !== 'landed-pending') throw new Error(landing.status);
  await shell(
    `cd '${f.repository.path}' && git cat-file blob main:README.md > README.md && touch -t 203001010000 README.md && ${landing.finishCommand}`,
    '/',
  );
  expect(await f.repository.git('status', '--porcelain')).toBe('');
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
});

test('a landing that is aborted while the checkout changes still finishes', async () => {
  await using f = await fixture({ files: { '.gitattributes': '*.slow filter=slow\n' } });
  const waiting = 'touch .git/filtering; while ! test -e .git/go-on; do sleep 0.01; done; cat';
  await f.repository.git('config', 'filter.slow.smudge', waiting);
  const ready = await readyTask(f, 'one', { 'before.txt': '1', 'in-between.slow': '2', 'later.txt': '3' });
  const abort = new AbortController();
  const landing = land(f.context, landInput(f, ready), abort.signal).then(
    (answer) => answer,
    (error: unknown) => error,
  );
  await vi.waitUntil(() => existsSync(file(f, '.git/filtering')), { timeout: 60_000 });
  abort.abort();
  writeFileSync(file(f, '.git/go-on'), '');
  expect(await landing).toEqual({ status: 'landed', commit: ready.commit });
  expect(await f.repository.head()).toBe(ready.commit);
  expect(await f.repository.git('status', '--porcelain')).toBe('');
  expect(['before.txt', 'in-between.slow', 'later.txt'].map((path) => read(f, path))).toEqual(['1', '2', '3']);
});

test('the reflogs show the landing, and ORIG_HEAD names the previous tip', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  await landOf(f, ready);
  for (const ref of ['main', 'HEAD']) {
    expect(await f.repository.git('log', '-g', '-1', '--format=%H %gs', ref)).toBe(
      `${ready.commit} merge ${ready.commit}: Fast-forward`,
    );
    expect(await f.repository.git('rev-parse', `${ref}@{1}`)).toBe(ready.tip);
  }
  expect(await f.repository.git('rev-parse', 'ORIG_HEAD')).toBe(ready.tip);
});

test.each(['merge', 'cherry-pick'])('an unfinished %s of the user is not disturbed', async (what) => {
  await using f = await fixture();
  await f.repository.git('branch', 'feature', await f.repository.git('commit-tree', '-m', 'x', 'main^{tree}'));
  const ready = await readyTask(f, 'one', { 'one.txt': '1' });
  const tip = await f.repository.head();
  if (what === 'merge') {
    await f.repository.git('merge', '-q', '--allow-unrelated-histories', '--no-commit', 'feature');
  } else await f.repository.git('update-ref', 'CHERRY_PICK_HEAD', tip);
  expect(await landOf(f, ready)).toMatchObject({
    status: 'landed-pending',
    reason: expect.stringMatching(new RegExp(`${what} is not concluded`)),
  });
  expect(await f.repository.head()).toBe(tip);
});

test('a split index and a sparse checkout stay as they are', async () => {
  await using f = await fixture({ files: { 'in/a.txt': 'a', 'out/b.txt': 'b' } });
  await f.repository.git('sparse-checkout', 'set', 'in');
  await f.repository.git('update-index', '--split-index');
  const ready = await readyTask(f, 'one', { 'in/one.txt': '1', 'out/two.txt': '2' });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(read(f, 'in/one.txt')).toBe('1');
  expect(existsSync(file(f, 'out'))).toBe(false);
  expect(await f.repository.git('status', '--porcelain')).toBe('');
});

test.each([
  ["an ignored file of the user's", 'secret.env', 'secret.env'],
  ["a whole ignored folder of the user's", 'build', 'build/kept.txt'],
])('%s is replaced neither by the landing nor by the finish command', async (_what, landed, mine) => {
  await using f = await fixture();
  const ready = await readyTask(f, 'one', { [landed]: 'theirs' });
  writeFileSync(file(f, '.gitignore'), 'secret.env\nbuild/\n');
  mkdirSync(dirname(file(f, mine)), { recursive: true });
  writeFileSync(file(f, mine), 'mine');
  expect(await f.repository.git('status', '--porcelain')).toBe('?? .gitignore');
  const landing = await landOf(f, ready);
  expect(landing).toMatchObject({ status: 'landed-pending', reason: expect.stringMatching(landed) });
  if (landing.status !== 'landed-pending') throw new Error(landing.status);
  await expect(shell(landing.finishCommand, '/')).rejects.toThrow(landed);
  expect(read(f, mine)).toBe('mine');
});

test('with two pending landings and a commit of the user in between, each finish command merges its own landing', async () => {
  await using f = await fixture();
  const commands: string[] = [];
  for (const [task, path] of [
    ['one', 'one.txt'],
    ['two', 'two.txt'],
  ] as const) {
    appendFileSync(file(f, 'README.md'), 'in progress\n');
    const landing = await landOf(f, await readyTask(f, task, { [path]: task }));
    if (landing.status !== 'landed-pending') throw new Error(landing.status);
    commands.push(landing.finishCommand);
    await f.repository.git('commit', '-qam', `my own before ${task} is finished`);
  }
  await shell(commands[0] ?? '', '/');
  expect([existsSync(file(f, 'one.txt')), existsSync(file(f, 'two.txt'))]).toEqual([true, false]);
  await shell(commands[1] ?? '', '/');
  expect(read(f, 'one.txt') + read(f, 'two.txt')).toBe('onetwo');
  expect(await f.repository.git('status', '--porcelain')).toBe('');
});
