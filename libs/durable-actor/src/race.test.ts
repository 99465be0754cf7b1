import { Bus } from '@coppice/bus';
import { buckets, streams, subjects } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { readActor, startActorHost } from './index.ts';
import type { ActorHost, CrashPoint } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';
import { desk, job } from './test-support/machines.ts';

let harness: Harness;
const others: { bus: Bus; host: ActorHost }[] = [];

beforeAll(async () => {
  harness = await Harness.start();
});
afterEach(async () => {
  for (const { bus, host: started } of others.splice(0)) {
    await started.stop();
    await bus.close();
  }
});
afterAll(() => harness.stop());

async function host(reach: (point: CrashPoint) => void | Promise<void> = () => {}): Promise<ActorHost> {
  const bus = await Bus.connect({ ...harness.server.connection, name: 'racer' });
  const started = await startActorHost({
    bus,
    actors: [job, desk],
    concurrency: 8,
    limits: { ackWaitMs: 500 },
    hooks: { reach },
  });
  others.push({ bus, host: started });
  return started;
}

test('two hosts that handle an actor at once lose nothing and do nothing twice', async () => {
  const attempts: CrashPoint[] = [];
  const slowly = async (point: CrashPoint) => {
    if (point === 'value-read') attempts.push(point);
    // Gives the other host time to read the same revision.
    if (point === 'transition-computed') await new Promise((resolve) => setTimeout(resolve, 3));
  };
  await host(slowly);
  await host(slowly);
  await harness.create('job', 'raced');
  await harness.reaches('job', 'raced', 'waiting');
  const pokes = Array.from({ length: 40 }, (_, number) => number);
  await Promise.all(pokes.map((number) => harness.send('job', 'raced', { type: 'poke', number }, `poke-${number}`)));
  await harness.send('job', 'raced', { type: 'start' });
  const effectId = await harness.effectOf('job', 'raced', 'prepare');
  await Promise.all(
    [1, 2, 3, 4].map(() => harness.result('job', 'raced', effectId, { status: 'done', output: prepared })),
  );
  await harness.reaches('job', 'raced', 'asking');
  await eventually(async () => (await harness.deskContext()).open.length === 1);
  await harness.send('desk', 'main', { type: 'serve' });
  const view = await harness.reaches('job', 'raced', 'approving');
  expect([...(view.context as { pokes: number[] }).pokes].toSorted((left, right) => left - right)).toEqual(pokes);
  expect((await harness.events('raced')).map((event) => [event.sequence, event.state])).toEqual([
    [1, 'waiting'],
    [2, 'preparing'],
    [3, 'asking'],
    [4, 'approving'],
  ]);
  expect(await harness.commands('raced')).toHaveLength(1);
  // Some attempts were repeated, which shows that the hosts really conflicted.
  expect(attempts.length).toBeGreaterThan(pokes.length + 8);
});

test('a host that was slow for longer than the ack wait changes nothing when it continues', async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let held = false;
  await host();
  await harness.create('job', 'slow');
  await harness.reaches('job', 'slow', 'waiting');
  await harness.quiet('job', 'slow');
  for (const { bus, host: started } of others.splice(0)) {
    await started.stop();
    await bus.close();
  }
  await host(async (point) => {
    if (point !== 'transition-computed' || held) return;
    held = true;
    await gate;
  });
  await harness.post('job', 'slow', {
    type: 'event',
    messageId: 'm',
    event: { type: 'start' },
    issuedAt: new Date().toISOString(),
  });
  await eventually(() => held);
  await host();
  await harness.reaches('job', 'slow', 'preparing');
  const effectId = await harness.effectOf('job', 'slow', 'prepare');
  await harness.result('job', 'slow', effectId, { status: 'done', output: prepared });
  await harness.reaches('job', 'slow', 'asking');
  release();
  await harness.quiet('job', 'slow');
  expect((await harness.events('slow')).map((event) => event.state)).toEqual(['waiting', 'preparing', 'asking']);
  expect((await readActor(harness.bus, 'job', 'slow'))?.state).toBe('asking');
});

test('a host that was slow after storing publishes commands that another host has cancelled: their claims are cancelled', async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let held = false;
  await harness.create('job', 'late');
  const first = await host(async (point) => {
    if (point !== 'state-stored' || held || (await readActor(harness.bus, 'job', 'late'))?.state !== 'preparing')
      return;
    held = true;
    await gate;
  });
  await harness.reaches('job', 'late', 'waiting');
  await harness.post('job', 'late', {
    type: 'event',
    messageId: 'm',
    event: { type: 'start' },
    issuedAt: new Date().toISOString(),
  });
  await eventually(() => held);
  const effectId = await harness.effectOf('job', 'late', 'prepare');
  await host();
  // The blocked host holds its lock on this actor, so only the other host can handle both messages.
  await harness.send('job', 'late', { type: 'stop' }).catch(() => null);
  await harness.reaches('job', 'late', 'stopped');
  release();
  await harness.quiet('job', 'late');
  await first.stop();
  const claim = await harness.bus.keyValue(buckets.effects).get(effectId);
  expect(JSON.parse(new TextDecoder().decode(claim?.value))).toEqual({ state: 'cancelled' });
  expect((await harness.events('late')).map((event) => event.state)).toEqual(['waiting', 'preparing', 'stopped']);
  // A timer that was published again after its cancellation has no effect.
  expect((await harness.stored(streams.actors, subjects.actor('job', 'late'))).length).toBe(0);
});
