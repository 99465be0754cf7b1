import { expect, test } from 'vitest';
import { Places } from './places.ts';

const options = { total: 3, perTenant: 2, waitingPerTenantMax: 2, stuckAfterMs: 60_000 };

/** Work that the test ends. */
function work(places: Places, tenant: string, begun: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const ended = places.within(tenant, async () => {
    begun.push(tenant);
    await promise;
  });
  // A rejection reaches the caller when it awaits, which may be later.
  ended.catch(() => {});
  return { end: resolve, ended };
}

test('one tenant leaves places to others, and who holds fewest is next', async () => {
  const places = new Places(options);
  const begun: string[] = [];
  const first = work(places, 'acme', begun);
  for (let count = 0; count < 3; count++) work(places, 'acme', begun);
  work(places, 'other', begun);
  work(places, 'third', begun);
  await Promise.resolve();
  expect(begun).toEqual(['acme', 'acme', 'other']);
  await expect(work(places, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  first.end();
  await first.ended;
  await Promise.resolve();
  expect(begun).toEqual(['acme', 'acme', 'other', 'third']);
});

test('nobody waits for places that do not become free', async () => {
  const places = new Places({ ...options, stuckAfterMs: 10 });
  const begun: string[] = [];
  const held = [work(places, 'acme', begun), work(places, 'acme', begun)];
  await expect(work(places, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  await expect(work(places, 'acme', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  const other = work(places, 'other', begun);
  for (const each of [...held, other]) {
    each.end();
    await each.ended;
  }
  expect(begun).toEqual(['acme', 'acme', 'other']);
  const again = work(places, 'acme', begun);
  again.end();
  await again.ended;
});

test('who was refused while others held all places waits as long the next time', async () => {
  const places = new Places({ ...options, total: 2, stuckAfterMs: 50 });
  const begun: string[] = [];
  const held = work(places, 'acme', begun);
  work(places, 'acme', begun);
  await expect(work(places, 'other', begun).ended).rejects.toMatchObject({ code: 'unavailable' });
  const again = work(places, 'other', begun);
  held.end();
  again.end();
  await again.ended;
  expect(begun).toEqual(['acme', 'acme', 'other']);
});
