import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, write } from '../test-support/fixture.ts';
import { landOf, mergeOf, readyTask } from '../test-support/task.ts';

const [one, two] = [{ 'log.txt': 'a\none\n' }, { 'log.txt': 'a\ntwo\n' }];
const start = { 'log.txt': 'a\n' };

/** Runs two tasks that append to the same file. The second is merged after the first has landed. */
async function bothAppend(attributes: string, path = 'log.txt', attributesPath = '.gitattributes') {
  const f = await fixture({ files: { [path]: 'a\n', [attributesPath]: attributes } });
  const first = await readyTask(f, 'one', { [path]: 'a\none\n' });
  const second = await readyTask(f, 'two', { [path]: 'a\ntwo\n' });
  expect(await landOf(f, first)).toMatchObject({ status: 'landed' });
  const merged = await mergeOf(f, 'two', second.taskCommit, { attempt: 2 });
  return { f, merged, second };
}

test.each([
  ['.gitattributes', 'log.txt merge=union\n', 'log.txt'],
  ['.gitattributes', '[attr]both merge=union\n"l*g.txt" both\n', 'log.txt'],
  ['deep/er/.gitattributes', '*.txt merge=union\n', 'deep/er/still/log.txt'],
  ['deep/.gitattributes', '/log.txt merge=union\n', 'deep/log.txt'],
])('with %s as %j, two tasks that append to %s both land', async (attributesPath, attributes, path) => {
  const { f, merged, second } = await bothAppend(attributes, path, attributesPath);
  await using _ = f;
  if (merged.status !== 'merged-in-store') throw new Error(merged.status);
  expect(await landOf(f, { ...second, ...merged })).toMatchObject({ status: 'landed' });
  expect(await f.repository.show(path)).toBe('a\none\ntwo\n');
  const [stores = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  const left = readdirSync(join(f.dataFolder, 'repositories', stores)).filter((name) => name.startsWith('scratch-'));
  expect(left).toEqual([]);
});

test.each(['merge=binary', '-merge', 'binary', 'merge=text', 'merge', 'merge=unheard-of'])(
  'with %s they conflict',
  async (attribute) => {
    const { f, merged } = await bothAppend(`log.txt ${attribute}\n`);
    await using _ = f;
    expect(merged).toMatchObject({ status: 'conflict', paths: ['log.txt'] });
  },
);

test.each(['merge=binary', '-merge', 'binary'])(
  'with %s, changes in different lines conflict as well',
  async (attribute) => {
    const lines = (first: string, last: string) => ({ 'log.txt': `${first}\n${'same\n'.repeat(20)}${last}\n` });
    await using f = await fixture({ files: { ...lines('a', 'z'), '.gitattributes': `log.txt ${attribute}\n` } });
    const first = await readyTask(f, 'one', lines('b', 'z'));
    const second = await readyTask(f, 'two', lines('a', 'y'));
    await landOf(f, first);
    expect(await mergeOf(f, 'two', second.taskCommit, { attempt: 2 })).toMatchObject({ status: 'conflict' });
  },
);

test('an external merge driver never runs, wherever it is configured; git uses its normal merge instead', async () => {
  await using f = await fixture({ files: { ...start, '.gitattributes': '*.txt merge=evil\n' } });
  const ran = join(f.repository.path, '../ran');
  await f.repository.git('config', 'merge.evil.driver', `touch '${ran}'; cp %B %A`);
  await f.repository.git('config', 'merge.default', 'evil');
  const first = await readyTask(f, 'one', one);
  const { tree } = await f.prepared('two');
  // Attributes and configuration in the agent's tree have no effect.
  write(tree, '.gitattributes', '*.txt merge=union\n');
  write(tree, '.gitconfig', `[merge "evil"]\n\tdriver = touch '${ran}'\n`);
  write(tree, 'log.txt', two['log.txt']);
  const second = await f.committed('two');
  if (second.status !== 'committed') throw new Error(second.status);
  await landOf(f, first);
  expect(await mergeOf(f, 'two', second.commit)).toMatchObject({ status: 'conflict', paths: ['log.txt'] });
  expect(existsSync(ran)).toBe(false);
  // With this configuration, plain git does run the driver.
  const { path, branch } = f.repository;
  writeFileSync(join(path, 'log.txt'), 'x\n');
  await f.repository.git('commit', '-qam', 'x');
  await f.repository.git('checkout', '-q', '-b', 'side', 'HEAD~1');
  writeFileSync(join(path, 'log.txt'), 'y\n');
  await f.repository.git('commit', '-qam', 'y');
  await f.repository.git('merge', '-q', branch);
  expect(existsSync(ran)).toBe(true);
});
