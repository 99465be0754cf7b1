import { streams, subjects } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus } from './index.ts';
import type { ReadOptions } from './index.ts';
import { connect, jetstreamManager } from './nats.ts';
import type { ConsumerInfo, JetStreamManager, NatsConnection } from './nats.ts';

/**
 * Tests of messages that are lost during a read. `insider` is a connection of the test that can inspect the server's
 * consumers.
 */
let server: NatsServer;
let bus: Bus;
let insider: NatsConnection;
let manager: JetStreamManager;
let counter = 0;

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'read-test' });
  await bus.ensureResources();
  insider = await connect({ servers: server.url });
  manager = await jetstreamManager(insider);
});
afterAll(async () => {
  await insider.close();
  await bus.close();
  await server.stop();
});

const newSubject = () => subjects.event('default', `r${++counter}`, 'run', 'run-submitted');
const publish = (subject: string, number: number) => bus.publish(subject, { number });
const consumersOf = async (subject: string): Promise<ConsumerInfo[]> => {
  const all: ConsumerInfo[] = [];
  for await (const info of manager.consumers.list(streams.events)) all.push(info);
  return all.filter(({ config }) => config.filter_subject === subject);
};
const theConsumer = (subject: string) =>
  eventually(
    async () => {
      const [only] = await consumersOf(subject);
      if (only === undefined) throw new Error('no consumer yet');
      return only;
    },
    { timeoutMs: 10_000 },
  );

function follow(subject: string, options: ReadOptions = {}) {
  const ending = new AbortController();
  const seen: number[] = [];
  const done = (async () => {
    for await (const message of bus.read(streams.events, subject, { live: true, signal: ending.signal, ...options }))
      seen.push((message.json() as { number: number }).number);
  })();
  return {
    seen,
    reached: (numbers: number[]) => eventually(async () => expect(seen).toEqual(numbers), { timeoutMs: 30_000 }),
    end: async () => {
      ending.abort();
      await done;
    },
  };
}

test('more messages than one pull returns are read completely and in order', async () => {
  const subject = newSubject();
  const numbers = Array.from({ length: 450 }, (_, index) => index);
  for (const number of numbers) await publish(subject, number);
  const read = await Array.fromAsync(bus.read(streams.events, subject), (message) => message.json());
  expect(read).toEqual(numbers.map((number) => ({ number })));
});

test('consumers have unguessable names and are deleted when their read ends', async () => {
  const subject = newSubject();
  const [one, two] = [follow(subject), follow(subject)];
  const names = await eventually(
    async () => {
      const all = (await consumersOf(subject)).map(({ name }) => name);
      expect(all.length).toBe(2);
      return all;
    },
    { timeoutMs: 10_000 },
  );
  for (const name of names) expect(name).toMatch(/^read-[0-9a-f]{32}$/);
  expect(new Set(names.map((name) => name.slice(0, 21))).size).toBe(2);
  await Promise.all([one.end(), two.end()]);
  await eventually(async () => expect(await consumersOf(subject)).toEqual([]), { timeoutMs: 10_000 });
});

test.each([
  ['followed by others', 2],
  ['the last one', 0],
])('a message that is lost in transit is read anyway: %s', { timeout: 60_000 }, async (_what, behind) => {
  const subject = newSubject();
  const reading = follow(subject);
  const { name } = await theConsumer(subject);
  // The server delivers these messages to the test instead of the reader.
  const lost: string[] = [];
  insider.subscribe(`_INBOX.lost-${counter}`, { callback: (_error, message) => void lost.push(message.subject) });
  insider.publish(`$JS.API.CONSUMER.MSG.NEXT.${streams.events}.${name}`, JSON.stringify({ batch: 1 }), {
    reply: `_INBOX.lost-${counter}`,
  });
  await insider.flush();
  const numbers: number[] = [];
  const next = async () => {
    numbers.push(numbers.length);
    await publish(subject, numbers.length - 1);
  };
  // The server serves the pull requests of the test and the reader in turn, so the test soon gets a message.
  while (lost.length === 0) {
    await next();
    await eventually(() => lost.length > 0 || reading.seen.length === numbers.length, { timeoutMs: 10_000 });
  }
  for (let count = 0; count < behind; count++) await next();
  await reading.reached(numbers);
  await reading.end();
});

test.each([
  ['all', {}],
  ['only new ones', { newOnly: true }],
])('a deleted consumer is replaced by one that starts after the last message (%s)', async (_what, options) => {
  const subject = newSubject();
  const reading = follow(subject, options);
  const first = await theConsumer(subject);
  await manager.consumers.delete(streams.events, first.name);
  await publish(subject, 1);
  await reading.reached([1]);
  const second = await theConsumer(subject);
  expect(second.name).not.toBe(first.name);
  await manager.consumers.delete(streams.events, second.name);
  await publish(subject, 2);
  await reading.reached([1, 2]);
  await reading.end();
});

test('a restart of the server deletes its consumers, but the read gets every message', async () => {
  const subject = newSubject();
  await publish(subject, 1);
  const reading = follow(subject);
  await reading.reached([1]);
  await server.restart();
  await eventually(() => publish(subject, 2), { timeoutMs: 20_000 });
  await reading.reached([1, 2]);
  await reading.end();
});

test('an unreadable stream is an error at once', async () => {
  await expect(Array.fromAsync(bus.read('no-such-stream', 'a.b'))).rejects.toThrow(/stream not found/);
});
