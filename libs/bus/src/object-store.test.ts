import { randomBytes } from 'node:crypto';
import { buckets } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus, busLimits } from './index.ts';
import type { ObjectStore } from './index.ts';
import { connect, jetstreamManager } from './nats.ts';
import type { JetStreamManager, NatsConnection } from './nats.ts';
import { objectStream } from './resources.ts';

/** `insider` is a connection of the test's own, which sees the store's stream. */
let server: NatsServer;
let bus: Bus;
let store: ObjectStore;
let insider: NatsConnection;
let manager: JetStreamManager;
const stream = objectStream(buckets.artifacts);

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'object-store-test' });
  await bus.ensureResources();
  store = await bus.objects(buckets.artifacts);
  insider = await connect({ servers: server.url });
  manager = await jetstreamManager(insider);
});
afterAll(async () => {
  await insider.close();
  await bus.close();
  await server.stop();
});

const consumers = async () => (await manager.streams.info(stream)).state.consumer_count;
const noneIsLeft = () => eventually(async () => expect(await consumers()).toBe(0));
const chunksAtOnce = busLimits.objectChunksAtOnce * 128 * 1024;
/** The subject of the chunk that was stored last before the last name. */
async function lastChunkSubject(): Promise<string> {
  const { state } = await manager.streams.info(stream);
  const stored = await manager.streams.getMessage(stream, { seq: state.last_seq - 1 });
  return stored?.subject ?? '';
}

test.each([
  ['empty', 0],
  ['of one chunk', 1],
  ['of several askings', 2 * chunksAtOnce + 12_345],
])('what is stored is read whole, and its reading leaves nothing at the server (%s)', async (name, size) => {
  const content = randomBytes(size);
  await store.put(name, content);
  expect(await store.find(name)).toMatchObject({ size });
  for (let count = 0; count < 5; count++) expect(content.equals((await store.get(name)) as Uint8Array)).toBe(true);
  await noneIsLeft();
});

test('what is not there, or not any more, is null; what is deleted while it is read is told so', async () => {
  expect(await store.get('absent')).toBeNull();
  await store.put('deleted', randomBytes(10));
  const found = await store.find('deleted');
  await store.delete('deleted');
  expect(await store.find('deleted')).toBeNull();
  await expect(found?.read()).rejects.toMatchObject({ code: 'not-found' });
});

test('what is not what was stored is an error', async () => {
  await store.put('longer', randomBytes(10));
  await insider.request(await lastChunkSubject(), randomBytes(10));
  await expect(store.get('longer')).rejects.toMatchObject({ code: 'internal' });

  await store.put('another', randomBytes(10));
  const subject = await lastChunkSubject();
  await manager.streams.purge(stream, { filter: subject });
  await insider.request(subject, randomBytes(10));
  await expect(store.get('another')).rejects.toMatchObject({ code: 'internal' });
  await noneIsLeft();
});

test('a reading that is not wanted any more ends with the reason, and leaves nothing', async () => {
  await store.put('unwanted', randomBytes(6 * chunksAtOnce));
  const found = await store.find('unwanted');
  const leaving = new AbortController();
  let askings = 0;
  const watching = insider.subscribe(`$JS.API.CONSUMER.MSG.NEXT.${stream}.*`, {
    callback: () => {
      askings++;
      leaving.abort(new Error('not wanted'));
    },
  });
  await insider.flush();
  await expect(found?.read(leaving.signal)).rejects.toThrow('not wanted');
  watching.unsubscribe();
  expect(askings).toBeLessThan(6);
  await expect(found?.read(leaving.signal)).rejects.toThrow('not wanted');
  await noneIsLeft();
});
