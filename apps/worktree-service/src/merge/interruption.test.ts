/**
 * Tests that a landing after git was stopped in a user's checkout informs the user and changes nothing in the checkout.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { fixture, shell, type Fixture } from '../test-support/fixture.ts';
import { interfere, mergeWords } from '../test-support/interfere.ts';
import { landOf, readyTask, type Ready } from '../test-support/task.ts';
import type { Landing } from './land.ts';

const file = (f: Fixture, path: string) => join(f.repository.path, path);
const read = (f: Fixture, path: string) => readFileSync(file(f, path), 'utf8');
const status = (f: Fixture) => f.repository.git('status', '--porcelain', '--untracked-files=all');
const notes = (f: Fixture) => readdirSync(join(f.dataFolder, 'landings'));

/**
 * Starts a landing of several files, blocks git in a smudge filter, and sends git the signal. Git has then written only
 * some of the files.
 */
async function landingCutOff(f: Fixture, signal: NodeJS.Signals): Promise<Ready> {
  const waiting =
    'echo $PPID > .git/filtering.new; mv .git/filtering.new .git/filtering; while test -e .git/stop; do sleep 0.01; done; cat';
  // The filter is outside of the checkout, since a landing doesn't run git if tasks can change a filter.
  const filter = join(f.dataFolder, 'slow-filter.sh');
  writeFileSync(filter, waiting);
  await f.repository.git('config', 'filter.slow.smudge', `exec sh ${filter}`);
  writeFileSync(file(f, '.git/stop'), '');
  const files = { 'README.md': 'landed', 'before.txt': '1', 'in-between.slow': '2', 'later.txt': '3' };
  const ready = await readyTask(f, 'one', files);
  const landing = landOf(f, ready).catch((error: unknown) => error);
  await vi.waitUntil(() => existsSync(file(f, '.git/filtering')), { timeout: 60_000 });
  process.kill(Number(read(f, '.git/filtering')), signal);
  rmSync(file(f, '.git/stop'));
  expect(await landing).toMatchObject({ code: 'git-failed', retryable: true, message: expect.stringMatching(signal) });
  expect([read(f, 'README.md'), read(f, 'before.txt'), existsSync(file(f, 'later.txt'))]).toEqual([
    'landed',
    '1',
    false,
  ]);
  return ready;
}

const slowFiles = { 'README.md': 'first', '.gitattributes': '*.slow filter=slow\n' };

function pending(landing: Landing): Extract<Landing, { status: 'landed-pending' }> {
  if (landing.status !== 'landed-pending') throw new Error(landing.status);
  return landing;
}

/** Runs a landing. In place of `git merge`, the script runs and then kills itself with SIGKILL. */
async function endedAtStart(f: Fixture, landed: Record<string, string>, script = 'true'): Promise<Ready> {
  const ready = await readyTask(f, 'one', landed);
  using _ = interfere(f, mergeWords, `${script}; kill -KILL $$`);
  await expect(landOf(f, ready)).rejects.toMatchObject({ code: 'git-failed' });
  return ready;
}

test('changes left by a git that was ended stay; the report names their landing, and how to finish or undo it', async () => {
  await using f = await fixture({ files: slowFiles });
  const ready = await landingCutOff(f, 'SIGTERM');
  const left = await status(f);
  const landing = pending(await landOf(f, ready));
  expect(landing.reason).toContain(`git was stopped while it moved main from ${ready.tip} to ${ready.commit}`);
  expect(landing.reason).toContain('by your own changes: README.md, before.txt');
  expect(landing.reason).not.toContain('later.txt');
  expect(landing.reason).toContain(`git -C ${f.repository.path} stash push --include-untracked`);
  expect(await status(f)).toBe(left);
  await shell(landing.finishCommand, '/');
  expect(await status(f)).toBe('');
  expect([read(f, 'README.md'), read(f, 'later.txt')]).toEqual(['landed', '3']);
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(notes(f)).toEqual([]);
});

test('the next landing leaves the checkout alone, too, until the reported command has undone the changes', async () => {
  await using f = await fixture({ files: slowFiles });
  const ready = await landingCutOff(f, 'SIGTERM');
  const two = await readyTask(f, 'two', { 'two.txt': '2' });
  const { reason } = pending(await landOf(f, two));
  expect(existsSync(file(f, 'two.txt'))).toBe(false);
  await shell(reason.slice(reason.lastIndexOf('git -C')), '/');
  const three = await readyTask(f, 'three', { 'three.txt': '3' });
  expect(await landOf(f, three)).toEqual({ status: 'landed', commit: three.commit });
  expect(await status(f)).toBe('');
  expect([read(f, 'README.md'), read(f, 'two.txt'), read(f, 'three.txt')]).toEqual(['first', '2', '3']);
  expect(await landOf(f, ready)).toMatchObject({ status: 'moved' });
});

test('changes that the user has made since then are in the stash once the landing is finished', async () => {
  await using f = await fixture({ files: { ...slowFiles, 'mine.txt': 'first' } });
  const ready = await landingCutOff(f, 'SIGTERM');
  writeFileSync(file(f, 'README.md'), 'my own');
  writeFileSync(file(f, 'mine.txt'), 'my own');
  writeFileSync(file(f, 'before.txt'), '');
  const { finishCommand } = pending(await landOf(f, ready));
  expect(['README.md', 'mine.txt', 'before.txt'].map((path) => read(f, path))).toEqual(['my own', 'my own', '']);
  await shell(finishCommand, '/');
  expect(await f.repository.head()).toBe(ready.commit);
  expect(await status(f)).toBe('');
  expect(await f.repository.git('show', 'stash@{0}:README.md')).toBe('my own');
  expect(await f.repository.git('show', 'stash@{0}:mine.txt')).toBe('my own');
  expect(await f.repository.git('show', 'stash@{0}^3:before.txt')).toBe('');
});

test('a lock left by a git that was ended with SIGKILL is reported, and stays', async () => {
  await using f = await fixture({ files: slowFiles });
  const ready = await landingCutOff(f, 'SIGKILL');
  const lock = file(f, '.git/index.lock');
  const { reason, finishCommand } = pending(await landOf(f, ready));
  expect(reason).toContain(`${lock} exists`);
  expect(existsSync(lock)).toBe(true);
  await expect(shell(finishCommand, '/')).rejects.toThrow('Command failed');
  rmSync(lock);
  await shell(finishCommand, '/');
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await status(f)).toBe('');
});

test('if git was ended after it wrote the index and before it moved the branch, that is reported, and the command finishes the landing', async () => {
  await using f = await fixture({ files: { 'README.md': 'first' } });
  const ready = await readyTask(f, 'one', { 'README.md': 'landed', 'one.txt': '1' });
  {
    // Simulates that git is killed after it has written the index.
    using _ = interfere(f, mergeWords, `git read-tree -m -u HEAD ${ready.commit}; kill -KILL $$`);
    await expect(landOf(f, ready)).rejects.toMatchObject({ code: 'git-failed' });
  }
  const left = 'M  README.md\nA  one.txt';
  expect(await status(f)).toBe(left);
  const landing = pending(await landOf(f, ready));
  expect(landing.reason).toContain('README.md, one.txt');
  expect(await status(f)).toBe(left);
  await shell(landing.finishCommand, '/');
  expect([await f.repository.head(), await status(f)]).toEqual([ready.commit, '']);
});

test('if git was ended before it changed anything, the next try lands and removes the record', async () => {
  await using f = await fixture();
  const ready = await endedAtStart(f, { 'one.txt': '1' });
  expect(notes(f)).toHaveLength(1);
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(notes(f)).toEqual([]);
});

describe('no change of the user’s is mistaken for the landing’s', () => {
  const begun = { 'config.txt': 'a\n', 'other.txt': 'a\n' };
  const landed = { 'config.txt': 'a\nb\nc\n', 'new.txt': '# New\n\n- by the agent\n', 'pkg/empty.txt': '' };
  const makes: [string, Record<string, string | null>][] = [
    ['an untracked file that is a prefix of the landing’s', { 'new.txt': '# New\n' }],
    ['an untracked file that is empty', { 'new.txt': '' }],
    ['an untracked file that equals the landing’s', { 'new.txt': landed['new.txt'], 'pkg/empty.txt': '' }],
    ['a tracked file that is deleted', { 'config.txt': null }],
    ['a tracked file that is emptied', { 'config.txt': '' }],
    ['a tracked file that is a prefix of the landing’s', { 'config.txt': 'a\nb\n' }],
    ['a tracked file that equals the landing’s', { 'config.txt': landed['config.txt'] }],
  ];
  test.each(makes)('%s', async (_what, changes) => {
    await using f = await fixture({ files: begun });
    await endedAtStart(f, landed);
    for (const [path, content] of Object.entries(changes)) {
      mkdirSync(dirname(file(f, path)), { recursive: true });
      if (content === null) rmSync(file(f, path));
      else writeFileSync(file(f, path), content);
    }
    const before = await status(f);
    const two = await readyTask(f, 'two', { 'two.txt': '2' });
    for (const landing of [pending(await landOf(f, two)), pending(await landOf(f, two))])
      expect(landing.reason).toContain(`by your own changes: ${Object.keys(changes).join(', ')}.`);
    expect(await status(f)).toBe(before);
    for (const [path, content] of Object.entries(changes))
      expect(existsSync(file(f, path)) ? read(f, path) : null).toBe(content);
  });

  test('a landing that the user has staged by hand', async () => {
    await using f = await fixture({ files: begun });
    const ready = await endedAtStart(f, landed);
    await f.repository.git('checkout', '-q', ready.commit, '--', '.');
    const before = await status(f);
    pending(await landOf(f, await readyTask(f, 'two', { 'two.txt': '2' })));
    expect(await status(f)).toBe(before);
    expect(read(f, 'config.txt')).toBe(landed['config.txt']);
    // Only the user can have committed these changes.
    await f.repository.git('commit', '-qm', 'by hand');
    const three = await readyTask(f, 'three', { 'three.txt': '3' });
    expect(await landOf(f, three)).toMatchObject({ status: 'landed' });
    expect(notes(f)).toEqual([]);
  });
});

describe('a leftover record blocks no landing', () => {
  test('if its commit was garbage-collected', async () => {
    await using f = await fixture();
    const one = await endedAtStart(f, { 'README.md': 'landed' });
    writeFileSync(file(f, 'README.md'), 'mine');
    await f.repository.git('gc', '-q', '--prune=now');
    await expect(f.repository.git('cat-file', '-e', one.commit)).rejects.toThrow('cat-file');
    expect(pending(await landOf(f, await readyTask(f, 'two', { 'two.txt': '2' }))).reason).toMatch(/with changes/);
    expect([read(f, 'README.md'), ...notes(f)]).toEqual(['mine']);
  });

  test('if it is not JSON', async () => {
    await using f = await fixture();
    const ready = await endedAtStart(f, { 'one.txt': '1' });
    writeFileSync(join(f.dataFolder, 'landings', notes(f)[0] ?? ''), '');
    expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
    expect(notes(f)).toEqual([]);
  });

  const becoming: [string, string, string][] = [
    ['gone', 'true', 'landed'],
    ['a plain folder', 'mkdir linked', 'landed'],
    ['a file', 'touch linked', 'landed'],
    ['another repository', 'git init -q -b main linked; echo mine > linked/two.txt', 'landed-pending'],
    ['a clone', 'git clone -q . linked', 'landed-pending'],
  ];
  test.each(becoming)('if its checkout is now %s', async (_what, script, expected) => {
    await using f = await fixture();
    await f.repository.git('switch', '-q', '--detach');
    await f.repository.git('worktree', 'add', '-q', 'linked', 'main');
    await endedAtStart(f, { 'README.md': 'landed' });
    rmSync(file(f, 'linked'), { recursive: true });
    await shell(script, f.repository.path);
    const seen = await shell('git -C linked status --porcelain; ls -A linked || true', f.repository.path).catch(String);
    const two = await readyTask(f, 'two', { 'two.txt': '2' });
    expect(await landOf(f, two)).toMatchObject({ status: expected });
    expect(notes(f)).toEqual([]);
    // The landing wrote nothing to a folder that isn't a checkout of this repository.
    expect(await shell('git -C linked status --porcelain; ls -A linked || true', f.repository.path).catch(String)).toBe(
      seen,
    );
  });
});
