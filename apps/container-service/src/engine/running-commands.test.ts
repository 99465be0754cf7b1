import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { RunningCommands } from './running-commands.ts';

test('a command is listed while its record is there and it runs', async () => {
  await using folder = await temporaryFolder('running');
  const running = new RunningCommands(folder.path);
  const remove = await running.add('sandbox', 'exec', process.pid);
  expect(await running.list()).toMatchObject([{ sandboxId: 'sandbox', execId: 'exec', pid: process.pid }]);
  await remove();
  expect(await running.list()).toEqual([]);
});

test('a record that can not be written fails nothing', async () => {
  await using folder = await temporaryFolder('running');
  // In the place of the folder, so that nothing can be written there, as on a full disk.
  await writeFile(join(folder.path, 'running'), '');
  const running = new RunningCommands(folder.path);
  const remove = await running.add('sandbox', 'exec', process.pid);
  expect(await running.list()).toEqual([]);
  await remove().catch(() => undefined);
});
