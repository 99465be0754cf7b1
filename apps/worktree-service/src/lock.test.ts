import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { Locks } from './lock.ts';

test('a lock has one holder at a time, in the order of the calls', async () => {
  await using folder = await temporaryFolder('locks');
  const [one, other] = [new Locks(folder.path), new Locks(folder.path)];
  let [inside, most] = [0, 0];
  const work = async () => {
    most = Math.max(most, ++inside);
    await sleep(2);
    inside--;
  };
  await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other).hold('a', work)));
  expect(most).toBe(1);
});

test('locks with different names are independent, and a failure frees the lock', async () => {
  await using folder = await temporaryFolder('locks');
  const locks = new Locks(folder.path);
  await locks.hold('a', () => locks.hold('b', async () => {}));
  await expect(locks.hold('a', () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(await locks.hold('a', async () => 'free', { waitMsMax: 100 })).toBe('free');
});

test('waiting has a time limit and can be cancelled, within a process and between processes', async () => {
  await using folder = await temporaryFolder('locks');
  const [one, other] = [new Locks(folder.path), new Locks(folder.path)];
  const end = Promise.withResolvers<void>();
  const held = one.hold('a', () => end.promise);
  for (const locks of [one, other]) {
    await expect(locks.hold('a', async () => {}, { waitMsMax: 30 })).rejects.toMatchObject({
      code: 'git-contention',
      retryable: true,
    });
    await expect(locks.hold('a', async () => {}, { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({
      code: 'cancelled',
    });
  }
  end.resolve();
  await held;
});

test('a lock is freed as soon as its holder is killed', async () => {
  await using folder = await temporaryFolder('locks');
  await using child = startProcess(join(import.meta.dirname, 'test-programs/hold-lock.ts'), [folder.path, 'a']);
  await child.waitForLine('held');
  const locks = new Locks(folder.path);
  await expect(locks.hold('a', async () => {}, { waitMsMax: 100 })).rejects.toMatchObject({ code: 'git-contention' });
  const waiting = locks.hold('a', async () => 'mine');
  await child.kill('SIGKILL');
  await eventually(async () => expect(await waiting).toBe('mine'));
});
