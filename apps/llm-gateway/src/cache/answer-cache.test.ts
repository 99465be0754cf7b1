/** Tests the memory and time limits of lookups. */
import { expect, test } from 'vitest';
import { prepareExchanges } from '../routing/collaborators.ts';
import { startExchange } from '../routing/exchange.ts';
import type { ModelDelta } from '../provider/port.ts';
import { end, saying, text } from '../test-support/says.ts';
import { AnswerCache } from './answer-cache.ts';
import { encodeEntry } from './entry.ts';
import { cacheLimits } from './limits.ts';

const settings = { ttlMs: 600_000, entryBytesMax: cacheLimits.entryBytesMax };

/** Returns an encoded answer whose size is a few hundred bytes below the maximum. */
async function largest(): Promise<Uint8Array> {
  const half = text('x'.repeat(cacheLimits.answerBytesMax / 2 - 100));
  const value = await encodeEntry([half, half, end], settings.entryBytesMax);
  if (value === null) throw new Error('the largest answer is too large');
  return value;
}
const bucketWith = (value: Uint8Array) => ({
  get: async () => ({ value, revision: 1, created: new Date() }),
  put: async () => 1,
});
const heldMax = cacheLimits.heldBytesMax / cacheLimits.answerBytesMax;

test('decoded answers that no caller has read yet have a common size limit, beyond which lookups find nothing', async () => {
  const cache = new AnswerCache(bucketWith(await largest()), settings);
  const held = [];
  for (let count = 0; count < heldMax; count++) held.push(await cache.find(['acme.a']));
  expect(held).not.toContain(null);
  expect(await cache.find(['acme.a'])).toBeNull();
  held[0]?.forget();
  expect(await cache.find(['acme.a'])).toMatchObject({ index: 0, deltas: { length: 3 } });
});

test('lookups that exceed the limit wait for room, in order', async () => {
  const cache = new AnswerCache(bucketWith(await largest()), settings);
  const held = await Promise.all(Array.from({ length: heldMax }, () => cache.find(['acme.a'])));
  const outcomes: string[] = [];
  const lookUp = async (name: string) => {
    const found = await cache.find(['acme.a']);
    outcomes.push(`${name} ${found === null ? 'missed' : 'found'}`);
  };
  const lookUps = [lookUp('first'), lookUp('second')];
  // After this, both lookups wait until their answers fit.
  await new Promise(setImmediate);
  held[0]?.forget();
  await lookUps[0];
  held[1]?.forget();
  await lookUps[1];
  expect(outcomes).toEqual(['first found', 'second found']);
});

test('the time limit of a lookup applies to the bucket, not to decoding', async () => {
  const value = await largest();
  const entry = Object.defineProperty({ revision: 1, created: new Date() }, 'value', {
    get: () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, cacheLimits.lookUpMsMax + 100);
      return value;
    },
  });
  const cache = new AnswerCache({ get: async () => entry as never, put: async () => 1 }, settings);
  expect(await cache.find(['acme.a'])).toMatchObject({ index: 0 });
});

test("a caller that has read an answer, or leaves before its end, releases the answer's bytes", async () => {
  const acme = saying('acme', [text('requested'), end]);
  const exchanges = prepareExchanges({
    providers: [acme],
    cache: new AnswerCache(bucketWith(await largest()), settings),
  });
  for (let count = 0; count < heldMax * 2; count++) {
    const { deltas, result } = startExchange(exchanges, {
      model: exchanges.routes.resolve('acme/one'),
      request: { messages: [], tools: [], settings: {} },
      context: { owner: { tenant: 'acme', runId: '', taskId: '' }, effectId: 'e', signal: AbortSignal.timeout(60_000) },
      endsAtMs: Date.now() + 60_000,
    });
    for await (const delta of deltas) if (count % 2 === 0 && delta !== null) break;
    expect(result.cached).toBe(true);
  }
  expect(acme.requests).toEqual([]);
});

test('an invalid value releases its bytes', async () => {
  const cut = Uint8Array.from(await largest());
  cut.fill(0, 20, cut.length - 8);
  const values = [...Array.from({ length: heldMax }, () => cut), await largest()];
  const cache = new AnswerCache(
    { ...bucketWith(cut), get: async () => bucketWith(values.shift() ?? cut).get() },
    settings,
  );
  for (let count = 0; count < heldMax; count++) expect(await cache.find(['acme.a'])).toBeNull();
  expect(await cache.find(['acme.a'])).not.toBeNull();
});

test('the number of concurrent lookups is limited: a further one finds nothing at once, and sends no request to the bucket', async () => {
  const waiting: ((entry: null) => void)[] = [];
  const bucket = { get: () => new Promise<null>((resolve) => waiting.push(resolve)), put: async () => 1 };
  const cache = new AnswerCache(bucket, settings);
  const looking = Array.from({ length: cacheLimits.lookUpsMax }, () => cache.find(['acme.a']));
  expect(await cache.find(['acme.a'])).toBeNull();
  expect(waiting).toHaveLength(cacheLimits.lookUpsMax);
  for (const resolve of waiting.splice(0)) resolve(null);
  await Promise.all(looking);
  const next = cache.find(['acme.a']);
  expect(waiting).toHaveLength(1);
  waiting[0]?.(null);
  expect(await next).toBeNull();
});

test('a value that arrives too late is not decoded', async () => {
  const { promise, resolve } = Promise.withResolvers<{ value: Uint8Array; revision: number; created: Date }>();
  const cache = new AnswerCache({ get: () => promise, put: async () => 1 }, settings);
  expect(await cache.find(['acme.a'])).toBeNull();
  let reads = 0;
  const entry = Object.defineProperty({ revision: 1, created: new Date() }, 'value', {
    get: () => {
      reads++;
      return new Uint8Array();
    },
  });
  resolve(entry as never);
  await promise;
  await new Promise(setImmediate);
  expect(reads).toBe(0);
});

test('only the first stored answer of several candidates is decoded', async () => {
  const value = await largest();
  const cache = new AnswerCache(bucketWith(value), settings);
  for (let count = 0; count < heldMax; count++)
    expect(await cache.find(['acme.a', 'acme.b', 'acme.c'])).toMatchObject({ index: 0 });
});

test('the size of an answer with many small pieces includes the JSON around them', async () => {
  const pieces: ModelDelta[] = Array.from({ length: cacheLimits.answerDeltasMax - 1 }, (_, index) => ({
    type: 'tool-call-delta',
    call: 0,
    id: 'x'.repeat(90),
    arguments: String(index % 10),
  }));
  expect(await encodeEntry([...pieces, end], settings.entryBytesMax)).toBeNull();
});
