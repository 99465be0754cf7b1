import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { RunningCommands } from './running-commands.ts';

test('a command is listed while it runs and its record exists', async () => {
  await using folder = await temporaryFolder('running');
  const running = new RunningCommands(folder.path);
  const remove = await running.add('sandbox', 'exec', process.pid);
  expect(await running.list()).toMatchObject([{ sandboxId: 'sandbox', execId: 'exec', pid: process.pid }]);
  await remove();
  expect(await running.list()).toEqual([]);
});

test('a damaged record is deleted, and the other records are still listed', async () => {
  await using folder = await temporaryFolder('running');
  const running = new RunningCommands(folder.path);
  await running.add('sandbox', 'exec', process.pid);
  const records = join(folder.path, 'running');
  await writeFile(join(records, '0'), '{"sandboxId":"sand');
  await writeFile(join(records, '1'), '\0'.repeat(100));
  expect(await running.list()).toMatchObject([{ execId: 'exec' }]);
  expect(await readdir(records)).toHaveLength(1);
});

test('a command does not fail if its record can not be written', async () => {
  await using folder = await temporaryFolder('running');
  // With a file instead of the folder, no record can be written, as on a full disk.
  await writeFile(join(folder.path, 'running'), '');
  const running = new RunningCommands(folder.path);
  const remove = await running.add('sandbox', 'exec', process.pid);
  expect(await running.list()).toEqual([]);
  await remove().catch(() => undefined);
});

test('remaining processes of a command whose own process was killed are ended, with retries until that succeeds', async () => {
  await using folder = await temporaryFolder('running');
  const killed = startProcess(join(import.meta.dirname, 'running-commands.ts'));
  const { pid } = killed;
  await new RunningCommands(folder.path).add('sandbox', 'exec', pid);
  await killed.kill();
  const lost: string[] = [];
  const running = new RunningCommands(folder.path, async ({ execId }) => {
    if (lost.push(execId) === 1) throw new Error('it does not end');
  });
  for (let look = 0; look < 3; look++) expect(await running.list()).toEqual([]);
  expect(lost).toEqual(['exec', 'exec']);
});
