import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture } from '../test-support/fixture.ts';
import { landOf, readyTask } from '../test-support/task.ts';
import { runsFileOf } from './checkout-filters.ts';

test.each([
  ['./tools/clean.sh', true],
  ['cat | tools/clean.sh', true],
  ['sh clean.sh', true],
  ['python3 -u tools/clean.sh %f', true],
  ['"$(git rev-parse --show-toplevel)/tools/clean.sh"', true],
  ['git-lfs smudge -- %f', false],
  ['git-lfs filter-process', false],
  ['tools', false],
  ['/usr/bin/env cat', false],
  ['sh /nowhere/clean.sh', false],
])('the filter %s runs a file of the checkout: %s', async (command, expected) => {
  await using f = await fixture({ files: { 'tools/clean.sh': 'cat\n', 'clean.sh': 'cat\n' } });
  expect(runsFileOf(f.repository.path, command)).toBe(expected);
});

test('a filter that a task can change does not run while the task lands in a checkout', async () => {
  const attributes = '*.ipynb filter=notebook\n';
  await using f = await fixture({
    files: { 'tools/clean.sh': 'cat\n', '.gitattributes': attributes, 'a.ipynb': '1\n' },
  });
  const mark = join(f.repository.path, '..', 'ran-on-the-host');
  await f.repository.git('config', 'filter.notebook.smudge', 'sh tools/clean.sh');
  const ready = await readyTask(f, 'one', {
    'tools/clean.sh': `touch ${mark}\ncat\n`,
    'a.ipynb': '2\n',
    'b.ipynb': '2\n',
  });
  expect(await landOf(f, ready)).toMatchObject({
    status: 'landed-pending',
    reason: expect.stringContaining('its filter notebook is sh tools/clean.sh'),
  });
  expect(existsSync(mark)).toBe(false);
  await f.repository.git('config', 'filter.notebook.smudge', 'cat');
  const other = await readyTask(f, 'two', { 'c.ipynb': '3\n' });
  expect(await landOf(f, other)).toMatchObject({ status: 'landed' });
});

test('a stale lock on the branch leaves the checkout unchanged, and the next landing succeeds once it is removed', async () => {
  await using f = await fixture();
  const lock = join(f.repository.path, '.git/refs/heads/main.lock');
  mkdirSync(join(lock, '..'), { recursive: true });
  writeFileSync(lock, '');
  const ready = await readyTask(f, 'one', { 'README.md': 'changed\n' });
  expect(await landOf(f, ready)).toMatchObject({
    status: 'landed-pending',
    reason: expect.stringContaining('main.lock'),
  });
  expect(await f.repository.git('status', '--porcelain')).toBe('');
});
