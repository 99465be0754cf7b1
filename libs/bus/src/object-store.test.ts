import { randomBytes } from 'node:crypto';
import { buckets } from '@coppice/contracts';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus, busLimits } from './index.ts';
import type { ObjectStore } from './index.ts';
import { DiscardPolicy, connect, jetstreamManager } from './nats.ts';
import type { JetStreamManager, NatsConnection } from './nats.ts';
import { artifactsKept, bundlesKept, objectStream } from './resources.ts';

/** `insider` is a connection of the test that can inspect the store's stream. */
let server: NatsServer;
let bus: Bus;
let store: ObjectStore;
let insider: NatsConnection;
let manager: JetStreamManager;
const stream = objectStream(buckets.artifacts);
const bundleStream = objectStream(buckets.bundles);

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
/**
 * Returns the subject of the last stored chunk. The stream's last message contains the object's name, and the chunk is
 * the message before it.
 */
async function lastChunkSubject(): Promise<string> {
  const { state } = await manager.streams.info(stream);
  const stored = await manager.streams.getMessage(stream, { seq: state.last_seq - 1 });
  return stored?.subject ?? '';
}

test.each([
  ['empty', 0],
  ['of one chunk', 1],
  ['of several pulls', 2 * chunksAtOnce + 12_345],
])('a stored object is read completely, and the read leaves nothing on the server (%s)', async (name, size) => {
  const content = randomBytes(size);
  await store.put(name, content);
  expect(await store.find(name)).toMatchObject({ size });
  for (let count = 0; count < 5; count++) expect(content.equals((await store.get(name)) as Uint8Array)).toBe(true);
  await noneIsLeft();
});

test('an absent or deleted object is null; an object that is deleted before it is read is not-found', async () => {
  expect(await store.get('absent')).toBeNull();
  await store.put('deleted', randomBytes(10));
  const found = await store.find('deleted');
  await store.delete('deleted');
  expect(await store.find('deleted')).toBeNull();
  await expect(found?.read()).rejects.toMatchObject({ code: 'not-found' });
});

test('changed content is an error', async () => {
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

test('bundles have a maximum age and size; when full, the store evicts only its own oldest bundles', async () => {
  const { config } = await manager.streams.info(bundleStream);
  expect(config).toMatchObject({
    max_age: bundlesKept.days * 24 * 3_600 * 1e9,
    max_bytes: bundlesKept.mebibytesMax * 1024 ** 2,
    discard: 'old',
  });
  await store.put('kept', randomBytes(10));
  const bundles = await bus.objects(buckets.bundles);
  const contents = Array.from({ length: 5 }, () => randomBytes(400_000));
  await manager.streams.update(bundleStream, { ...config, max_bytes: 1_000_000 });
  try {
    const [oldest, ...others] = contents;
    await bundles.put('oldest', oldest as Buffer);
    const found = await bundles.find('oldest');
    await bundles.put('other-0', others[0] as Buffer);
    await bundles.put('other-1', others[1] as Buffer);
    // The object's name still exists, but some of its chunks are evicted.
    await expect(bundles.get('oldest').then((read) => read ?? 'gone')).rejects.toMatchObject({ code: 'not-found' });
    await expect(found?.read()).rejects.toMatchObject({ code: 'not-found' });
    await bundles.put('oldest', oldest as Buffer);
    expect(oldest?.equals((await bundles.get('oldest')) as Uint8Array)).toBe(true);
    await bundles.put('other-2', others[2] as Buffer);
    await bundles.put('other-3', others[3] as Buffer);
    expect(await bundles.find('other-0')).toBeNull();
    expect(others[3]?.equals((await bundles.get('other-3')) as Uint8Array)).toBe(true);
    expect((await manager.streams.info(bundleStream)).state.bytes).toBeLessThanOrEqual(1_000_000);
    expect(await store.find('kept')).toMatchObject({ size: 10 });
  } finally {
    await manager.streams.update(bundleStream, config);
  }
});

test("artifacts have a maximum age and size, an earlier version's bucket gets these limits, and an evicted artifact is not-found", async () => {
  const bounds = {
    max_age: artifactsKept.days * 24 * 3_600 * 1e9,
    max_bytes: artifactsKept.mebibytesMax * 1024 ** 2,
    discard: 'old',
  };
  const { config } = await manager.streams.info(stream);
  expect(config).toMatchObject({ ...bounds, allow_direct: true });
  const content = randomBytes(400_000);
  await store.put('earlier', content);
  await manager.streams.update(stream, { ...config, max_age: 0, max_bytes: -1, discard: DiscardPolicy.New });
  await bus.ensureResources();
  expect((await manager.streams.info(stream)).config).toMatchObject(bounds);
  expect((await bus.fullness()).find((each) => each.stream === stream)?.share).toBeGreaterThan(0);
  expect(content.equals((await store.get('earlier')) as Uint8Array)).toBe(true);
  // The purge keeps only the last chunk and the name.
  const { state } = await manager.streams.info(stream);
  await manager.streams.purge(stream, { seq: state.last_seq - 1 });
  await expect(store.get('earlier')).rejects.toMatchObject({ code: 'not-found' });
});

test('on a server without space for the size of the artifacts, only their age is limited', async () => {
  await using folder = await temporaryFolder('small-disk');
  // The limit suffices for the reservations of all other streams.
  const config = `jetstream { store_dir: ${JSON.stringify(folder.path)}, max_file: 9GB }`;
  await using small = await startNatsServer({ config });
  const other = await Bus.connect({ ...small.connection, name: 'small-disk' });
  try {
    await other.ensureResources();
    const reader = await connect({ servers: small.url });
    const { streams } = await jetstreamManager(reader);
    const bounds = { max_age: artifactsKept.days * 24 * 3_600 * 1e9, max_bytes: -1 };
    expect((await streams.info(stream)).config).toMatchObject(bounds);
    await reader.close();
    await (await other.objects(buckets.artifacts)).put('kept', randomBytes(10));
  } finally {
    await other.close();
  }
});

test('a service starts without the bundles, which an upgrade creates last, and reports unavailable when one is requested', async () => {
  await manager.streams.delete(bundleStream);
  await bus.awaitResources({ waitMs: 0 });
  await expect(bus.objects(buckets.bundles)).rejects.toMatchObject({
    code: 'unavailable',
    retryable: true,
    message: expect.stringContaining('coppice-bundles is not there'),
  });
  await bus.ensureResources();
  expect(await (await bus.objects(buckets.bundles)).find('none')).toBeNull();
});

test("an aborted read ends with the signal's reason and leaves nothing on the server", async () => {
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
