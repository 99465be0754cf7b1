import path from 'node:path';
import { startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { writeFile } from 'node:fs/promises';
import { tryFileLock } from './file-lock.ts';

test('a lock has one holder at a time, also within one process', async () => {
  await using folder = await temporaryFolder('lock');
  const file = path.join(folder.path, 'a.lock');
  const first = tryFileLock(file);
  expect(first).toBeDefined();
  expect(tryFileLock(file)).toBeUndefined();
  first?.release();
  const second = tryFileLock(file);
  expect(second).toBeDefined();
  second?.release();
});

test('a lock is released when the process that holds it is killed', async () => {
  await using folder = await temporaryFolder('lock');
  const file = path.join(folder.path, 'a.lock');
  const program = path.join(folder.path, 'holder.ts');
  const source = JSON.stringify(path.join(import.meta.dirname, 'file-lock.ts'));
  await writeFile(
    program,
    `import { tryFileLock } from ${source};
    globalThis.held = tryFileLock(process.argv[2]);
    console.log(globalThis.held === undefined ? 'refused' : 'held');
    setInterval(() => {}, 1000);`,
  );
  await using holder = startProcess(program, [file]);
  await holder.waitForLine('held');
  expect(tryFileLock(file)).toBeUndefined();
  await holder.kill('SIGKILL');
  const lock = tryFileLock(file);
  expect(lock).toBeDefined();
  lock?.release();
});
