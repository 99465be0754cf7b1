import { expect, test } from 'vitest';
import { KeptItems } from './kept-items.ts';
import { facadeLimits } from './limits.ts';
import { BodyRoom } from './request-body.ts';

const { answerBytesMax, answersMax } = facadeLimits.items;
const item = { id: 'msg_coppice_a_0', type: 'message' };

function itemsIn(get: (key: string) => Promise<Uint8Array | null>) {
  const asked: string[] = [];
  const written: string[] = [];
  const told: string[] = [];
  const bucket = {
    get: async (key: string) => {
      asked.push(key);
      const value = await get(key);
      return value === null ? null : { value, revision: 1, created: new Date(0) };
    },
    put: async (key: string) => written.push(key),
  };
  return {
    asked,
    written,
    told,
    items: new KeptItems(bucket, { error: (_: unknown, text = '') => void told.push(text) }),
  };
}

const kept = async () => Buffer.from(JSON.stringify([item]));

test('a bucket that fails is told of once, and not asked for the rest', async () => {
  const { asked, told, items } = itemsIn(() => Promise.reject(new Error('away')));
  const room = new BodyRoom(answerBytesMax);
  for (const _ of [1, 2])
    expect(await items.named('acme', ['a', 'b'], { bytesMax: answerBytesMax, room })).toEqual({ items: [], bytes: 0 });
  expect(asked).toEqual(['acme.items-a', 'acme.items-a']);
  expect(told).toHaveLength(1);
  expect(room.tryTake(answerBytesMax)).toBe(true);
});

test('what is read has room, and none is left taken where there is too little', async () => {
  const { items } = itemsIn(kept);
  const { length } = await kept();
  const room = new BodyRoom(answerBytesMax + length);
  const bytesMax = 2 * answerBytesMax;
  expect(await items.named('acme', ['a', 'b'], { bytesMax, room })).toEqual({ items: [item, item], bytes: 2 * length });
  const refused = items.named('acme', ['a'], { bytesMax, room });
  await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
  room.giveBack(2 * length);
  await expect(items.named('acme', ['a', 'b', 'c'], { bytesMax, room })).rejects.toMatchObject({ code: 'unavailable' });
  expect(room.tryTake(answerBytesMax + length)).toBe(true);
});

test('no more answers are read than may be named, and none that is too large is kept', async () => {
  const { asked, written, items } = itemsIn(async () => null);
  const many = Array.from({ length: answersMax + 1 }, (_, index) => String(index));
  await items.named('acme', many, { bytesMax: answerBytesMax, room: new BodyRoom(answerBytesMax) });
  expect(asked).toHaveLength(answersMax);
  await items.keep('acme', 'a', [{ ...item, text: 'x'.repeat(answerBytesMax) }]);
  await items.keep('acme', 'b', []);
  await items.keep('acme', 'c', [item]);
  expect(written).toEqual(['acme.items-c']);
});
