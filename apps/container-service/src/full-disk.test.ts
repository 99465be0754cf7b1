import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotNow, handle } from '@coppice/bus';
import { CoppiceError, sandboxOperations } from '@coppice/contracts';
import { FullDiskWaits, untilDiskHasRoom } from '@coppice/disk';
import { replaceFile } from '@coppice/files';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { SandboxStore } from './engine/store.ts';
import { withFullDisk } from './full-disk.ts';
import { placeOf } from './place.ts';

test('on a full disk, the creation of a sandbox is postponed until there is space, and fails with the reason after a time', async (context) => {
  context.skip(process.getuid?.() !== 0 || process.platform !== 'linux', 'only root of a Linux can mount a small disk');
  await using folder = await temporaryFolder('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=711', 'coppice-test', folder.path]);
  try {
    mkdirSync(join(folder.path, 'state'));
    const store = new SandboxStore(join(folder.path, 'state'), () => {});
    const record = { id: 'one', user: { uid: 10_001, gid: 10_001 } } as never;
    const create = handle(sandboxOperations.create, async ({ sandboxId }) => {
      await store.create(record);
      return { sandboxId, engine: 'none' as const, node: 'node1' };
    });
    const order = (waits: FullDiskWaits) =>
      withFullDisk(folder.path, waits)(create).run({ sandboxId: 'one' }, { effectId: 'effect' } as never);
    expect(() => writeFileSync(join(folder.path, 'filler'), Buffer.alloc(2 * 1024 ** 2))).toThrow('ENOSPC');
    await expect(order(new FullDiskWaits())).rejects.toBeInstanceOf(NotNow);
    await expect(order(new FullDiskWaits(0))).rejects.toMatchObject({ code: 'disk-full', retryable: true });
    rmSync(join(folder.path, 'filler'));
    expect(await order(new FullDiskWaits())).toMatchObject({ sandboxId: 'one' });
    expect(await store.find('one')).toMatchObject({ id: 'one' });
  } finally {
    execFileSync('umount', [folder.path]);
  }
});

test('a service can restart on a full disk; at its first start it waits for space', async (context) => {
  context.skip(process.getuid?.() !== 0 || process.platform !== 'linux', 'only root of a Linux can mount a small disk');
  await using folder = await temporaryFolder('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=711', 'coppice-test', folder.path]);
  const filler = join(folder.path, 'filler');
  const fill = () => expect(() => writeFileSync(filler, Buffer.alloc(2 * 1024 ** 2))).toThrow('ENOSPC');
  try {
    fill();
    const waitedFor: string[] = [];
    const first = await untilDiskHasRoom(
      folder.path,
      () => placeOf(folder.path),
      (line) => {
        waitedFor.push(line);
        rmSync(filler);
      },
    );
    expect(waitedFor).toEqual([expect.stringMatching(/^waiting for space on the disk of .*ENOSPC/)]);
    await replaceFile(join(first.stateFolder, 'filter'), 'x');
    fill();
    expect(await placeOf(folder.path)).toEqual(first);
    await replaceFile(join(first.stateFolder, 'filter'), 'x');
    await expect(replaceFile(join(first.stateFolder, 'filter'), 'y'.repeat(5_000))).rejects.toThrow('ENOSPC');
    expect(readdirSync(first.stateFolder).toSorted()).toEqual(['filter', 'stack-id']);
  } finally {
    execFileSync('umount', [folder.path]);
  }
});

test('the folder of a sandbox whose record was never written is removed once it is old', async () => {
  await using folder = await temporaryFolder('store');
  const store = new SandboxStore(folder.path, () => {});
  await store.create({ id: 'whole', user: { uid: 10_001, gid: 10_001 } } as never);
  for (const name of ['old', 'new']) mkdirSync(join(folder.path, 'sandboxes', name, 'home'), { recursive: true });
  const old = new Date(Date.now() - 120_000);
  for (const name of ['old', 'whole']) utimesSync(join(folder.path, 'sandboxes', name), old, old);
  await store.sweep();
  expect(readdirSync(join(folder.path, 'sandboxes')).toSorted()).toEqual(['new', 'whole']);
});

test('an operation that must not be repeated is not postponed, and fails with its own error', async () => {
  const failing = handle(sandboxOperations.exec, () => {
    throw new CoppiceError('internal', 'ENOSPC: no space left on device');
  });
  const wrapped = withFullDisk('/', new FullDiskWaits())(failing);
  await expect(async () => wrapped.run({}, {} as never)).rejects.toMatchObject({ code: 'internal' });
});
