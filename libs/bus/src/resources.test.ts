import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus } from './index.ts';
import { connect, jetstreamManager } from './nats.ts';
import type { JetStreamManager, NatsConnection } from './nats.ts';
import { itemsKept, keyValueStream } from './resources.ts';

let server: NatsServer;
let bus: Bus;
let insider: NatsConnection;
let manager: JetStreamManager;
const stream = keyValueStream(buckets.llmItems);

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'resources-test' });
  await bus.ensureResources();
  insider = await connect({ servers: server.url });
  manager = await jetstreamManager(insider);
});
afterAll(async () => {
  await insider.close();
  await bus.close();
  await server.stop();
});

test('response items have a maximum age and size; when full, the bucket evicts only its own oldest items', async () => {
  const { config } = await manager.streams.info(stream);
  expect(config).toMatchObject({
    max_age: itemsKept.hours * 3_600 * 1e9,
    max_bytes: itemsKept.mebibytesMax * 1024 ** 2,
    discard: 'old',
  });
  const [items, cache] = [bus.keyValue(buckets.llmItems), bus.keyValue(buckets.llmCache)];
  await cache.put('acme.kept', Buffer.from('kept'));
  await manager.streams.update(stream, { ...config, max_bytes: 1_000_000 });
  try {
    const value = Buffer.alloc(250_000, 'x');
    for (const key of ['a', 'b', 'c', 'd', 'e']) await items.put(`acme.${key}`, value);
    expect(await items.get('acme.a')).toBeNull();
    expect((await items.get('acme.e'))?.value.length).toBe(value.length);
    await items.put('acme.e', Buffer.from('anew'));
    expect(Buffer.from((await items.get('acme.e'))?.value ?? '').toString()).toBe('anew');
    await cache.put('other.new', value);
    expect(await cache.get('acme.kept')).not.toBeNull();
  } finally {
    await manager.streams.update(stream, config);
  }
});

test('a service starts without the response items, which an upgrade creates last', async () => {
  await manager.streams.delete(stream);
  await bus.awaitResources({ waitMs: 0 });
  await bus.ensureResources();
  expect(await bus.keyValue(buckets.llmItems).get('acme.a')).toBeNull();
});
