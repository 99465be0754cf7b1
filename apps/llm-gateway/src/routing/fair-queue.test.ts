import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairQueue } from './fair-queue.ts';
import type { Release } from './fair-queue.ts';

const never = new AbortController().signal;
const queueOf = (concurrency: number, waitingMax = 100) => new FairQueue({ name: 'acme', concurrency, waitingMax });

/** Callers in the order of their admission, while one after the other leaves. */
async function orderOf(queue: FairQueue, comers: readonly (readonly [tenant: string, taskId: string])[]) {
  const order: string[] = [];
  const releases: Release[] = [];
  const entered = comers.map(async ([tenant, taskId], index) => {
    releases.push(await queue.enter({ tenant, taskId }, never));
    order.push(`${tenant}/${taskId}/${index}`);
  });
  // Each release lets one in, which is there after some turns of the loop.
  while (order.length < comers.length) {
    await new Promise(setImmediate);
    releases.shift()?.();
  }
  await Promise.all(entered);
  for (const release of releases) release();
  return order;
}

test('tenants take turns, then the tasks of each', async () => {
  const comers = [
    ['a', '1'],
    ['a', '1'],
    ['a', '1'],
    ['a', '2'],
    ['b', '1'],
    ['b', '1'],
    ['c', '1'],
  ] as const;
  expect(await orderOf(queueOf(1), comers)).toEqual(['a/1/0', 'a/1/1', 'b/1/4', 'c/1/6', 'a/2/3', 'b/1/5', 'a/1/2']);
});

test('no more than its places are taken, nobody is left out, and in the end it is empty', async () => {
  const comer = fc.record({
    tenant: fc.constantFrom('a', 'b', 'c'),
    taskId: fc.constantFrom('1', '2'),
    leaves: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(comer, { maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      async (comers, concurrency) => {
        const queue = queueOf(concurrency);
        let inside = 0;
        let most = 0;
        let served = 0;
        const errors: unknown[] = [];
        const came = comers.map(async ({ tenant, taskId, leaves }) => {
          const abort = new AbortController();
          const entering = queue.enter({ tenant, taskId }, abort.signal);
          if (leaves) abort.abort(new Error('left'));
          try {
            const release = await entering;
            most = Math.max(most, ++inside);
            served++;
            await new Promise(setImmediate);
            inside--;
            release();
            // A second call frees no other's place.
            release();
          } catch (error) {
            errors.push(error);
          }
        });
        await Promise.all(came);
        expect(errors).toEqual(errors.map(() => new Error('left')));
        expect(most).toBeLessThanOrEqual(concurrency);
        expect(served).toBeGreaterThanOrEqual(comers.filter(({ leaves }) => !leaves).length);
        expect([queue.taken, queue.waiting]).toEqual([0, 0]);
      },
    ),
  );
});

test('who waits beyond the limit is told, and who leaves makes room', async () => {
  const queue = queueOf(1, 1);
  const owner = { tenant: 'a', taskId: '1' };
  const release = await queue.enter(owner, never);
  const abort = new AbortController();
  const second = queue.enter(owner, abort.signal);
  await expect(queue.enter(owner, never)).rejects.toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message: '1 calls are at acme and 1 more wait, which is the limit',
  });
  abort.abort(new Error('left'));
  await expect(second).rejects.toThrow('left');
  const third = queue.enter(owner, never);
  release();
  (await third)();
  expect([queue.taken, queue.waiting]).toEqual([0, 0]);
});
