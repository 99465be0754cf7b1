import { CoppiceError } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Admission } from './admission.ts';
import type { Release } from './admission.ts';

const options = { total: 3, perGroup: 2, waitingPerGroupMax: 2, stuckAfterMs: 60_000 };

/** Starts work under a claim of the tenant. The work lasts until the test calls `end`. */
function work(admission: Admission, tenant: string, begun: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const ended = admission.within({ group: tenant }, async () => {
    begun.push(tenant);
    await promise;
  });
  // Prevents an unhandled rejection if `ended` rejects before the test awaits it.
  ended.catch(() => {});
  return { end: resolve, ended };
}

test("a group can't use everything, and the next claim comes from the group that uses the least", async () => {
  const admission = new Admission(options);
  const begun: string[] = [];
  const first = work(admission, 'acme', begun);
  for (let count = 0; count < 3; count++) work(admission, 'acme', begun);
  work(admission, 'other', begun);
  work(admission, 'third', begun);
  await Promise.resolve();
  expect(begun).toEqual(['acme', 'acme', 'other']);
  await expect(work(admission, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  first.end();
  await first.ended;
  await Promise.resolve();
  expect(begun).toEqual(['acme', 'acme', 'other', 'third']);
});

test('a claim is rejected when its group releases nothing for too long', async () => {
  const admission = new Admission({ ...options, stuckAfterMs: 10 });
  const begun: string[] = [];
  const held = [work(admission, 'acme', begun), work(admission, 'acme', begun)];
  await expect(work(admission, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  await expect(work(admission, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  const other = work(admission, 'other', begun);
  for (const each of [...held, other]) {
    each.end();
    await each.ended;
  }
  expect(begun).toEqual(['acme', 'acme', 'other']);
  const again = work(admission, 'acme', begun);
  again.end();
  await again.ended;
});

test('if a group was rejected only because of other groups, its next claim may wait for the full time again', async () => {
  const admission = new Admission({ ...options, total: 2, stuckAfterMs: 50 });
  const begun: string[] = [];
  const held = work(admission, 'acme', begun);
  work(admission, 'acme', begun);
  await expect(work(admission, 'other', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  const again = work(admission, 'other', begun);
  held.end();
  again.end();
  await again.ended;
  expect(begun).toEqual(['acme', 'acme', 'other']);
});

const never = new AbortController().signal;
const limited = new CoppiceError('provider-limited', 'too many wait');
const queueOf = (total: number, waitingMax = 100) => new Admission({ total, waitingMax, refusal: () => limited });

async function orderOf(queue: Admission, comers: readonly (readonly [tenant: string, taskId: string])[]) {
  const order: string[] = [];
  const releases: Release[] = [];
  const entered = comers.map(async ([tenant, taskId], index) => {
    releases.push(await queue.enter({ group: tenant, line: taskId, signal: never }));
    order.push(`${tenant}/${taskId}/${index}`);
  });
  // Each release admits one caller, which continues after a few iterations of the event loop.
  while (order.length < comers.length) {
    await new Promise(setImmediate);
    releases.shift()?.();
  }
  await Promise.all(entered);
  for (const release of releases) release();
  return order;
}

test('groups take turns, and within a group its lines take turns', async () => {
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

test("at most `total` is in use, every claim that isn't aborted is admitted, and in the end nothing is in use or waiting", async () => {
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
          const entering = queue.enter({ group: tenant, line: taskId, signal: abort.signal });
          if (leaves) abort.abort(new Error('left'));
          try {
            const release = await entering;
            most = Math.max(most, ++inside);
            served++;
            await new Promise(setImmediate);
            inside--;
            release();
            // A second call of `release` must not release another caller's claim.
            release();
          } catch (error) {
            errors.push(error);
          }
        });
        await Promise.all(came);
        expect(errors).toEqual(errors.map(() => new Error('left')));
        expect(most).toBeLessThanOrEqual(concurrency);
        expect(served).toBeGreaterThanOrEqual(comers.filter(({ leaves }) => !leaves).length);
        expect([queue.inUse, queue.waiting]).toEqual([0, 0]);
      },
    ),
  );
});

test('a claim beyond the limit of waiting claims is rejected, and an aborted claim no longer counts as waiting', async () => {
  const queue = queueOf(1, 1);
  const owner = { group: 'a', line: '1' };
  const release = await queue.enter({ ...owner, signal: never });
  const abort = new AbortController();
  const second = queue.enter({ ...owner, signal: abort.signal });
  await expect(queue.enter({ ...owner, signal: never })).rejects.toBe(limited);
  abort.abort(new Error('left'));
  await expect(second).rejects.toThrow('left');
  const third = queue.enter({ ...owner, signal: never });
  release();
  (await third)();
  expect([queue.inUse, queue.waiting]).toEqual([0, 0]);
});

test("amounts count, and a smaller claim does not overtake one that doesn't fit yet", async () => {
  const admission = new Admission({ total: 10 });
  const order: string[] = [];
  const take = (name: string, amount: number) => admission.take({ amount }).then(() => order.push(name));
  expect(admission.tryTake(6)).toBe(true);
  const large = take('large', 8);
  const small = take('small', 2);
  expect([admission.tryTake(1), admission.inUse, admission.waiting]).toEqual([false, 6, 2]);
  admission.giveBack(6);
  await Promise.all([large, small]);
  expect(order).toEqual(['large', 'small']);
  expect([admission.tryTake(1), admission.inUse, admission.waiting]).toEqual([false, 10, 0]);
});

test('an aborted claim no longer blocks a smaller claim behind it, and a claim that can never fit is rejected', async () => {
  const admission = new Admission({ total: 10 });
  expect(admission.tryTake(6)).toBe(true);
  const abort = new AbortController();
  const large = admission.take({ amount: 8, signal: abort.signal });
  const small = admission.take({ amount: 2 });
  abort.abort(new Error('left'));
  await expect(large).rejects.toThrow('left');
  await small;
  await expect(admission.take({ amount: 11 })).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  await expect(admission.take({ signal: abort.signal })).rejects.toThrow('left');
  expect([admission.inUse, admission.waiting]).toEqual([8, 0]);
});

test('a group at its own limit does not block other groups', async () => {
  const admission = new Admission({ total: 3, perGroup: 1 });
  expect(admission.tryTake(1, 'a')).toBe(true);
  const second = admission.enter({ group: 'a' });
  expect(admission.tryTake(1, 'a')).toBe(false);
  expect(admission.tryTake(1, 'b')).toBe(true);
  admission.giveBack(1, 'a');
  (await second)();
  admission.giveBack(1, 'b');
  expect([admission.inUse, admission.waiting]).toEqual([0, 0]);
});

test('a claim that exceeds the limit of a group is rejected, since it could never be admitted', async () => {
  const admission = new Admission({ total: 10, perGroup: 3 });
  await expect(admission.take({ amount: 4, group: 'acme' })).rejects.toMatchObject({ code: 'unavailable' });
  await admission.take({ amount: 3, group: 'acme' });
});
