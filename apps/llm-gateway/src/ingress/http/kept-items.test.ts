import { setTimeout as sleep } from 'node:timers/promises';
import { Admission } from '@coppice/service';
import { expect, test, vi } from 'vitest';
import { KeptItems } from './kept-items.ts';
import { facadeLimits } from './limits.ts';

const { answerBytesMax, answersMax, readingBytesMax, readsAtOnce } = facadeLimits.items;
const item = { id: 'msg_coppice_a_0', type: 'message' };

function itemsIn(get: (key: string) => Promise<Uint8Array | null>) {
  const keys: string[] = [];
  const written: string[] = [];
  const logged: string[] = [];
  const bucket = {
    get: async (key: string) => {
      keys.push(key);
      const value = await get(key);
      return value === null ? null : { value, revision: 1, created: new Date(0) };
    },
    put: async (key: string) => written.push(key),
  };
  return {
    keys,
    written,
    logged,
    items: new KeptItems(bucket, { error: (_: unknown, text = '') => void logged.push(text) }),
  };
}

const kept = async () => Buffer.from(JSON.stringify([item]));

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

test.each([
  ['at once', () => true],
  ['for one', (key: string) => key.endsWith('.15')],
])(
  "a failure of the bucket %s is logged once and ends the read, and the client's error is retryable",
  async (_, fails) => {
    const { keys, logged, items } = itemsIn(async (key) => {
      if (fails(key)) throw new Error('away');
      return kept();
    });
    const bytesMax = readsAtOnce * answerBytesMax;
    const room = new Admission({ total: bytesMax });
    for (const time of [1, 2])
      await expect(items.named('acme', many(readsAtOnce + 1), { bytesMax, room }), `${time}`).rejects.toMatchObject({
        code: 'unavailable',
        retryable: true,
        message: expect.stringContaining('send the request again'),
      });
    expect(keys).toHaveLength(2 * readsAtOnce);
    expect(logged).toHaveLength(fails('') ? 1 : 2);
    expect(room.tryTake(bytesMax)).toBe(true);
  },
);

test('several items are read at once', async () => {
  const { promise, resolve } = Promise.withResolvers<null>();
  const { keys, items } = itemsIn(() => promise);
  const bytesMax = 2 * readsAtOnce * answerBytesMax;
  const reading = items.named('acme', many(readsAtOnce + 1), { bytesMax, room: new Admission({ total: bytesMax }) });
  await vi.waitFor(() => expect(keys).toHaveLength(readsAtOnce));
  resolve(null);
  await reading;
  expect(keys).toHaveLength(readsAtOnce + 1);
});

test('many requests that reference small items wait for each other, and only take room for the actual size', async () => {
  let reading = 0;
  let most = 0;
  const { items } = itemsIn(async () => {
    most = Math.max(most, ++reading);
    await sleep(1);
    reading--;
    return kept();
  });
  const room = new Admission({ total: 64 * readsAtOnce * (await kept()).length });
  const bytesMax = readsAtOnce * answerBytesMax;
  const all = Array.from({ length: 64 }, () => items.named('acme', many(readsAtOnce), { bytesMax, room }));
  for (const { items: read } of await Promise.all(all)) expect(read).toHaveLength(readsAtOnce);
  expect(most).toBe(readingBytesMax / answerBytesMax);
});

test('items that were read take room, and none stays taken if there was too little', async () => {
  const { items } = itemsIn(kept);
  const { length } = await kept();
  const room = new Admission({ total: 3 * length });
  const bytesMax = 2 * answerBytesMax;
  expect(await items.named('acme', ['a', 'b'], { bytesMax, room })).toEqual({ items: [item, item], bytes: 2 * length });
  const refused = items.named('acme', ['a', 'b'], { bytesMax, room });
  await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
  room.giveBack(2 * length);
  // The room is large enough for only three of the four values.
  const late = items.named('acme', ['a', 'b', 'c', 'd'], { bytesMax, room });
  await expect(late).rejects.toMatchObject({ code: 'unavailable' });
  expect(room.tryTake(3 * length)).toBe(true);
});

test('the number of answers read is limited, and an item that is too large is not stored', async () => {
  const { keys, written, items } = itemsIn(async () => null);
  const room = new Admission({ total: answerBytesMax });
  await items.named('acme', many(answersMax + 1), { bytesMax: answerBytesMax, room });
  expect(keys).toHaveLength(answersMax);
  await items.keep('acme', [{ key: 'a', items: [{ ...item, text: 'x'.repeat(answerBytesMax) }] }]);
  await items.keep('acme', []);
  await items.keep('acme', [{ key: 'c', items: [item] }]);
  expect(written).toEqual(['acme.c']);
});
