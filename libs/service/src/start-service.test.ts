import { buckets, streams, subjects } from '@coppice/contracts';
import { eventually, manualClock, startNatsServer, startTcpProxy } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus } from '@coppice/bus';
import { startService } from './start-service.ts';
import type { ServiceContext, ServiceSettings } from './start-service.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

const settings = (name: string, rest: Partial<ServiceSettings> = {}): ServiceSettings => ({
  name,
  version: '1.0.0',
  node: 'here',
  connection: nats.connection,
  makesResources: true,
  start: async () => ({ stop: async () => {} }),
  ...rest,
});
const membersNamed = async (name: string) =>
  (await Array.fromAsync(bus.keyValue(buckets.members).keys())).filter((id) => id.startsWith(`${name}-here-`));

test('services that start at the same time on a new server all start, and stop', async () => {
  const names = ['one', 'two', 'three', 'four', 'five', 'six'];
  const started = await Promise.all(names.map((name) => startService(settings(name))));
  for (const name of names) expect(await membersNamed(name)).toHaveLength(1);
  await Promise.all(started.map((service) => service.stop()));
  for (const name of names) expect(await membersNamed(name)).toEqual([]);
});

test('the work gets its context, and is stopped once, before the membership ends', async () => {
  const clock = manualClock();
  const seen: ServiceContext[] = [];
  const stops: boolean[] = [];
  const service = await startService(
    settings('ordered', {
      clock,
      start: async (context) => {
        seen.push(context);
        return { stop: async () => void stops.push(await context.member.isMember(context.member.id)) };
      },
    }),
  );
  expect(seen).toEqual([expect.objectContaining({ name: 'ordered', version: '1.0.0', node: 'here', clock })]);
  await Promise.all([service.stop(), service.stop()]);
  await service.stop();
  expect(stops).toEqual([true]);
  expect(await membersNamed('ordered')).toEqual([]);
});

test('a failed start leaves no membership', async () => {
  const failing = settings('failing', {
    start: async () => {
      throw new Error('no disk');
    },
  });
  await expect(startService(failing)).rejects.toThrow('no disk');
  expect(await membersNamed('failing')).toEqual([]);
});

test('if the connection breaks during a start, the start continues later', async () => {
  await using proxy = await startTcpProxy(Number(new URL(nats.url).port));
  const service = await startService(
    settings('interrupted', {
      connection: { servers: `127.0.0.1:${proxy.port}` },
      start: async (context) => {
        proxy.cut();
        setTimeout(() => proxy.heal(), 1_000);
        await eventually(() => !context.bus.isConnected);
        const commands = await context.bus.consume(
          {
            stream: streams.commands,
            durable: 'interrupted',
            filterSubject: subjects.command('orchestrator', 'interrupted', '*'),
            ackWaitMs: 1_000,
            concurrency: 1,
          },
          async () => {},
        );
        return { stop: () => commands.stop() };
      },
    }),
  );
  expect(await bus.backlog(streams.commands, 'interrupted')).toEqual({ pending: 0, unacknowledged: 0 });
  await service.stop();
});

test('an aborted start undoes its completed steps', async () => {
  const abort = new AbortController();
  let stopped = false;
  const aborted = settings('aborted', {
    signal: abort.signal,
    start: async () => {
      abort.abort(new Error('changed my mind'));
      return { stop: async () => void (stopped = true) };
    },
  });
  await expect(startService(aborted)).rejects.toThrow('changed my mind');
  expect(stopped).toBe(true);
  expect(await membersNamed('aborted')).toEqual([]);
});

test('if stopping the work fails, the rest is stopped nevertheless', async () => {
  const service = await startService(
    settings('stubborn', { start: async () => ({ stop: () => Promise.reject(new Error('no')) }) }),
  );
  await service.stop();
  expect(await membersNamed('stubborn')).toEqual([]);
});

test('if the work never stops, `stop` returns when its time limit is over', async () => {
  const service = await startService(
    settings('endless', { stopMsMax: 100, start: async () => ({ stop: () => new Promise(() => {}) }) }),
  );
  const startedAt = Date.now();
  await service.stop();
  expect(Date.now() - startedAt).toBeLessThan(5_000);
  // The work may still run, so other processes must not take it over before the membership expires.
  expect(await membersNamed('endless')).toHaveLength(1);
  await service.bus.close();
});

test('a permanently lost connection is reported', async () => {
  const service = await startService(settings('lonely'));
  let lost: Error | null = null;
  void (async () => {
    lost = await service.lost;
  })();
  await service.bus.close();
  await eventually(() => lost !== null);
  await service.stop();
});
