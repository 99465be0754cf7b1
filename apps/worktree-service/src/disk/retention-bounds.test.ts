import { randomBytes } from 'node:crypto';
import { manualClock } from '@coppice/testing';
import { expect, test } from 'vitest';
import { openContext } from '../open.ts';
import { date, fixture, runId, write, type Fixture } from '../test-support/fixture.ts';
import { remove } from '../worktree/remove.ts';
import type { Expiry } from './removed.ts';
import { Retention } from './retention.ts';
import { diskSettingsDefault, type DiskSettings } from './settings.ts';

const mebibyte = 1024 ** 2;

async function leaveWork(f: Fixture, taskId: string, files: Record<string, Buffer | string>) {
  const { tree } = await f.prepared(taskId);
  for (const [path, content] of Object.entries(files)) write(tree, path, content);
  const input = { taskId, runId, effectId: `${taskId}_remove`, repository: f.address, keepBranch: false, date };
  return (await remove(f.context, input)).rescue ?? '';
}

async function round(f: Fixture, disk: Partial<DiskSettings>) {
  const settings = { ...diskSettingsDefault, freeBytesMin: 0, ...disk };
  const context = await openContext({ dataFolder: f.dataFolder, node: 'node1', disk: settings });
  const gone: Expiry[] = [];
  const errors: unknown[] = [];
  const retention = new Retention(context, {
    clock: manualClock(new Date()),
    onRemoved: (expiry) => gone.push(expiry),
    onError: (error) => errors.push(error),
  });
  retention.request();
  await retention.settle();
  await context.trash.settle();
  expect(errors).toEqual([]);
  const part = retention.report?.parts.find(({ name }) => name === 'rescued-commits');
  return { gone: gone.map(({ what, reason }) => [what.split('/').slice(-2).join('/').split(' ')[0], reason]), part };
}

test('rescued commits and kept folders share a size limit: the oldest are removed first, the newest stays whatever its size', async () => {
  await using f = await fixture();
  const large = () => randomBytes(2 * mebibyte);
  await leaveWork(f, 'one', { 'a.bin': large() });
  await leaveWork(f, 'folder', { 'b.bin': large(), 'git~1': 'no file of a repository may be called that' });
  const shared = { 'c.bin': large() };
  await leaveWork(f, 'two', shared);
  // This work shares almost all of its objects with the previous work.
  await leaveWork(f, 'three', { ...shared, 'd.txt': 'd' });
  const kept = () => f.tasks('for-each-ref', '--format=%(refname:lstrip=3)', 'refs/coppice/rescue/');

  const whole = await round(f, { rescueBytesMax: 7 * mebibyte });
  expect(whole.gone).toEqual([]);
  expect(whole.part).toMatchObject({ count: 3, bytesMax: 7 * mebibyte });
  expect(whole.part?.bytes).toBeGreaterThan(4 * mebibyte);
  expect(whole.part?.bytes).toBeLessThan(4.5 * mebibyte);

  expect((await round(f, { rescueBytesMax: 5 * mebibyte })).gone).toEqual([['one/1', 'size']]);
  expect((await round(f, { rescueBytesMax: 3 * mebibyte })).gone).toEqual([['rescue/folder.1', 'size']]);
  expect(await kept()).toBe('three/1\ntwo/1');
  expect((await round(f, { rescueBytesMax: 1 })).gone).toEqual([['two/1', 'size']]);
  expect(await kept()).toBe('three/1');
});
