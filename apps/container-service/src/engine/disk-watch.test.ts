import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { DiskMeter, usedBytes } from './disk-watch.ts';

const never = new AbortController().signal;

test('counts what files take, in all folders, and what is too deep to see as too much', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const other = path.join(folder.path, 'other');
  await mkdir(path.join(folder.path, 'one/two'), { recursive: true });
  await mkdir(other);
  await writeFile(path.join(folder.path, 'one/two/file'), Buffer.alloc(100_000));
  await writeFile(path.join(other, 'file'), Buffer.alloc(50_000));
  const budget = { folders: [path.join(folder.path, 'one'), other], bytesMax: 1_000_000 };
  const bytes = await usedBytes(budget, never);
  expect(bytes).toBeGreaterThanOrEqual(150_000);
  expect(bytes).toBeLessThan(200_000);

  const name = 'd'.repeat(200);
  const previous = process.cwd();
  process.chdir(other);
  // Deeper than any path may be long.
  for (let depth = 0; depth < 25; depth++) {
    await mkdir(name);
    process.chdir(name);
  }
  process.chdir(previous);
  expect(await usedBytes(budget, never)).toBe(Number.POSITIVE_INFINITY);
  // So that it can be deleted.
  await rename(path.join(other, ...Array.from({ length: 13 }, () => name)), path.join(folder.path, 'rest'));
});

test('a name that is no text hides nothing', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const odd = Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from([0xff])]);
  await mkdir(odd);
  await writeFile(Buffer.concat([odd, Buffer.from('/'), Buffer.from([0xfe])]), Buffer.alloc(100_000));
  expect(await usedBytes({ folders: [folder.path], bytesMax: 1_000_000 }, never)).toBeGreaterThanOrEqual(100_000);
});

test('is exceeded when it is, and ends with its command', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const budget = { folders: [folder.path], bytesMax: 100_000 };
  const done = new AbortController();
  const within = new DiskMeter([budget]).watch(done.signal);
  setTimeout(() => done.abort(), 1_500);
  expect(await within).toBe(false);
  const watching = new DiskMeter([budget]).watch(never);
  setTimeout(() => void writeFile(path.join(folder.path, 'file'), Buffer.alloc(200_000)), 1_500);
  expect(await watching).toBe(true);
});
