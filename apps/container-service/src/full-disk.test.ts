import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotNow, handle } from '@coppice/bus';
import { CoppiceError, sandboxOperations } from '@coppice/contracts';
import { FullDiskWaits } from '@coppice/service';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { SandboxStore } from './engine/store.ts';
import { withFullDisk } from './full-disk.ts';

test('a sandbox that a full disk has no room for is made when there is room again, and is a reason after a time', async (context) => {
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

test('an operation that may not be repeated fails as before', async () => {
  const failing = handle(sandboxOperations.exec, () => {
    throw new CoppiceError('internal', 'ENOSPC: no space left on device');
  });
  const wrapped = withFullDisk('/', new FullDiskWaits())(failing);
  await expect(async () => wrapped.run({}, {} as never)).rejects.toMatchObject({ code: 'internal' });
});
