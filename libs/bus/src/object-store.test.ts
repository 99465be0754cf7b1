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

/** `insider` is the test's own connection, which can inspect the store's stream. */
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
/** Returns the subject of the last stored chunk; the message after it is the name's. */
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

test('what is not there, or not any more, is null; what is deleted while it is read is reported as such', async () => {
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

test('bundles have an age and a size; where they are full, the oldest make room, and those alone', async () => {
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
    // Its name still exists, some of its chunks don't.
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

test('artifacts have an age and a size, a bucket of an earlier version gets them, and one that is pushed out is not found', async () => {
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
  // Keeps its last chunk and its name.
  const { state } = await manager.streams.info(stream);
  await manager.streams.purge(stream, { seq: state.last_seq - 1 });
  await expect(store.get('earlier')).rejects.toMatchObject({ code: 'not-found' });
});

test('a server without room for the size of the artifacts has them by age alone', async () => {
  await using folder = await temporaryFolder('small-disk');
  // Larger than what all other streams reserve.
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

test('a service starts without the bundles, which an upgrade brings last, and reports it when one is requested', async () => {
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
