import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { removeTree } from '@coppice/files';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { DiskMeter, usedBytes } from './disk-watch.ts';
import { diskWatchDepthMax } from './limits.ts';

const never = new AbortController().signal;

test('counts the space of files in all folders, and treats files that are too deep as over the limit', async () => {
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

  const previous = process.cwd();
  process.chdir(other);
  for (let depth = 0; depth < diskWatchDepthMax; depth++) {
    await mkdir('d'.repeat(100));
    process.chdir('d'.repeat(100));
  }
  process.chdir(previous);
  expect(await usedBytes({ ...budget, bytesMax: 100_000_000 }, never)).toBe(Number.POSITIVE_INFINITY);
  await removeTree(other);
});

test('a link that replaces a folder never leads the walk out of the watched folders', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const watched = path.join(folder.path, 'watched');
  const elsewhere = path.join(folder.path, 'elsewhere');
  await mkdir(path.join(watched, 'turning/in'), { recursive: true });
  await mkdir(path.join(elsewhere, 'in'), { recursive: true });
  await symlink(elsewhere, path.join(watched, 'aside'));
  await writeFile(path.join(elsewhere, 'in/large'), Buffer.alloc(2_000_000));
  const swap = `
    const { renameSync } = require('node:fs');
    process.chdir(process.argv[1]);
    for (;;) {
      renameSync('turning', 'kept'); renameSync('aside', 'turning');
      renameSync('turning', 'aside'); renameSync('kept', 'turning');
    }`;
  const swapping = spawn(process.execPath, ['-e', swap, watched], { stdio: 'inherit' });
  try {
    const budget = { folders: [watched], bytesMax: 1_000_000 };
    for (let count = 0; count < 8_000; count++) expect(await usedBytes(budget, never)).toBeLessThan(1_000_000);
  } finally {
    swapping.kill('SIGKILL');
    await once(swapping, 'close');
  }
});

test('files in a folder that its owner may not read are counted', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const closed = path.join(folder.path, 'closed');
  await mkdir(closed);
  await writeFile(path.join(closed, 'file'), Buffer.alloc(100_000));
  await chmod(closed, 0o000);
  // Root can read every folder. Under root, the files therefore belong to another user, and that user counts them.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const each of [folder.path, closed, path.join(closed, 'file')]) await chown(each, 10_001, 10_001);
  const module = JSON.stringify(path.join(import.meta.dirname, 'disk-watch.ts'));
  const budget = JSON.stringify({ folders: [folder.path], bytesMax: 1_000_000 });
  const program = `const { usedBytes } = await import(${module}); console.log(await usedBytes(${budget}, AbortSignal.timeout(60_000)));`;
  const user = isRoot ? { uid: 10_001, gid: 10_001 } : {};
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], user);
  expect(Number(stdout)).toBeGreaterThanOrEqual(100_000);
  expect((await stat(closed)).mode & 0o777).toBe(0o000);
});

test.runIf(process.getuid?.() === 0)(
  'files in folders whose permissions a command keeps changing are counted',
  async () => {
    await using folder = await temporaryFolder('disk-watch');
    // With more levels, a wrong count is more likely to miss one.
    const levels = Array.from({ length: 12 }, (_, index) => path.join(folder.path, 'd/'.repeat(index + 1)));
    const innermost = levels.at(-1) ?? '';
    await mkdir(innermost, { recursive: true });
    await writeFile(path.join(innermost, 'large'), Buffer.alloc(5_000_000, 1));
    const user = { uid: 10_001, gid: 10_001 };
    for (const each of [folder.path, ...levels]) await chown(each, user.uid, user.gid);
    const flicker = `
    const { chmodSync } = require('node:fs');
    const levels = process.argv.slice(1);
    for (;;) for (const [mode, all] of [[0o700, levels], [0, levels.toReversed()]])
      for (const each of all) try { chmodSync(each, mode); } catch {}`;
    const flickering = spawn(process.execPath, ['-e', flicker, ...levels], { stdio: 'inherit', ...user });
    try {
      const module = JSON.stringify(path.join(import.meta.dirname, 'disk-watch.ts'));
      const budget = JSON.stringify({ folders: [folder.path], bytesMax: 1_000_000 });
      const program = `
      const { usedBytes } = await import(${module});
      let missed = 0;
      for (let count = 0; count < 200; count++) if ((await usedBytes(${budget}, AbortSignal.timeout(60_000))) < 1_000_000) missed++;
      console.log(missed);`;
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], user);
      expect(stdout.trim()).toBe('0');
    } finally {
      flickering.kill('SIGKILL');
      await once(flickering, 'close');
    }
  },
);

test('a file whose name is not valid text is counted', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const odd = Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from([0xff])]);
  await mkdir(odd);
  await writeFile(Buffer.concat([odd, Buffer.from('/'), Buffer.from([0xfe])]), Buffer.alloc(100_000));
  expect(await usedBytes({ folders: [folder.path], bytesMax: 1_000_000 }, never)).toBeGreaterThanOrEqual(100_000);
});

test('the watch reports an exceeded limit, and ends when its command ends', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const budget = { folders: [folder.path], bytesMax: 100_000 };
  const done = new AbortController();
  const command = { firstProcess: () => undefined };
  const within = new DiskMeter([budget]).watch(done.signal, command);
  setTimeout(() => done.abort(), 1_500);
  expect(await within).toBe(false);
  const watching = new DiskMeter([budget]).watch(never, command);
  setTimeout(() => void writeFile(path.join(folder.path, 'file'), Buffer.alloc(200_000)), 1_500);
  expect(await watching).toBe(true);
});

test('the growth of the file system ends the wait after a slow check', async () => {
  await using folder = await temporaryFolder('disk-watch');
  const budget = { folders: [folder.path], bytesMax: 2_000_000 };
  // With this ratio, only the check for a growing file system can end the wait.
  const watching = new DiskMeter([budget], 10, 1e9).watch(never, { firstProcess: () => undefined });
  const seen = { isExceeded: false };
  void watching.then(() => (seen.isExceeded = true));
  // Adds several files, since other programs may free space on the same file system.
  for (let count = 0; count < 50 && !seen.isExceeded; count++) {
    await sleep(100);
    await writeFile(path.join(folder.path, `file-${count}`), Buffer.alloc(10_000_000));
  }
  expect(await watching).toBe(true);
});
