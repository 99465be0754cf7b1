import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buckets, streams, subjects } from '@coppice/contracts';
import type { Outcome } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { createActor, listActors, readActor, sendEvent } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await Harness.start();
  await harness.host();
});
afterAll(() => harness.stop());

/** Creates a job that waits for the result of its command. Returns the command's effect id. */
async function preparing(id: string, input: unknown = {}): Promise<string> {
  await harness.create('job', id, input, { type: 'start' });
  await harness.reaches('job', id, 'preparing');
  // The state is stored before the outbox is published.
  await harness.quiet('job', id);
  return harness.effectOf('job', id, 'prepare');
}

describe('an actor', () => {
  test('lives from create to tombstone: command, request, events in order, message to another actor', async () => {
    const effectId = await preparing('one');
    const [command, ...others] = await harness.commands('one');
    expect(others).toEqual([]);
    expect(command).toMatchObject({
      effectId,
      replyTo: { kind: 'job', id: 'one' },
      input: { repository: '/repo', baseBranch: 'main' },
    });

    await harness.result('job', 'one', effectId, { status: 'done', output: prepared });
    await harness.reaches('job', 'one', 'asking');
    await harness.reaches('desk', 'main', 'open');
    await harness.quiet('desk', 'main');
    await harness.send('desk', 'main', { type: 'serve' });
    await harness.reaches('job', 'one', 'approving');
    expect(await harness.send('job', 'one', { type: 'approve' })).toMatchObject({ state: 'finished', deferred: false });

    const view = await readActor(harness.bus, 'job', 'one');
    expect(view).toMatchObject({
      status: 'done',
      state: 'finished',
      output: { ticket: 1 },
      summary: { error: null, pokes: [] },
      context: null,
    });
    await harness.quiet('desk', 'main');
    expect(await readActor(harness.bus, 'desk', 'main')).toMatchObject({ context: { left: ['one'], open: [] } });
    const events = await harness.events('one');
    expect(events.map((event) => event.state)).toEqual(['waiting', 'preparing', 'asking', 'approving', 'finished']);
    expect(events.map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(new Set(events.map((event) => event.id)).size).toBe(5);
  });

  test('that leaves a state cancels its timers and its command', async () => {
    const effectId = await preparing('timers');
    const timers = async () => harness.stored(streams.actors, subjects.timer('job', 'timers', '*'));
    expect(await timers()).toHaveLength(2);
    await harness.send('job', 'timers', { type: 'stop' });
    await harness.quiet('job', 'timers');
    expect(await timers()).toEqual([]);
    const claim = await harness.bus.keyValue(buckets.effects).get(effectId);
    expect(JSON.parse(new TextDecoder().decode(claim?.value))).toEqual({ state: 'cancelled' });
    const before = await readActor(harness.bus, 'job', 'timers');
    await harness.result('job', 'timers', effectId, { status: 'done', output: prepared });
    await harness.quiet('job', 'timers');
    expect(await readActor(harness.bus, 'job', 'timers')).toEqual(before);
  });

  test('gets its own time limit as a scheduled message', async () => {
    await preparing('limited', { limitMs: 300 });
    const view = await harness.reaches('job', 'limited', 'failed');
    expect(view.summary).toEqual({ error: 'timed-out', pokes: [] });
    await harness.quiet('job', 'limited');
    expect((await harness.events('limited')).map((event) => event.state)).toEqual(['waiting', 'preparing', 'failed']);
  });

  test('creates another actor, which starts', async () => {
    await harness.create('desk', 'maker');
    await harness.reaches('desk', 'maker', 'open');
    await harness.send('desk', 'maker', { type: 'make', id: 'made' });
    expect(await harness.reaches('job', 'made', 'preparing')).toMatchObject({ status: 'active' });
  });

  test('notifies the actor from which it no longer needs an answer', async () => {
    const effectId = await preparing('fickle');
    await harness.result('job', 'fickle', effectId, { status: 'done', output: prepared });
    await harness.reaches('job', 'fickle', 'asking');
    await harness.send('job', 'fickle', { type: 'stop' });
    const forgotten = async () => (await harness.deskContext()).forgotten;
    await eventually(async () => (await forgotten()).includes('fickle'));
  });

  test('can be listed with others of its kind', async () => {
    await harness.create('job', 'shelf.one');
    await harness.create('job', 'shelf.two');
    await harness.reaches('job', 'shelf.one', 'waiting');
    await harness.reaches('job', 'shelf.two', 'waiting');
    const ids: string[] = [];
    for await (const view of listActors(harness.bus, { kind: 'job', under: 'shelf' })) ids.push(view.id);
    expect(ids.toSorted()).toEqual(['shelf.one', 'shelf.two']);
    expect(await readActor(harness.bus, 'job', 'nobody')).toBeNull();
  });
});

describe('a sender', () => {
  test('gets a rejection, a deferral, or, for a repeated event, the first answer again', async () => {
    await harness.create('job', 'answering');
    await harness.reaches('job', 'answering', 'waiting');
    await expect(harness.send('job', 'answering', { type: 'approve' })).rejects.toMatchObject({
      code: 'conflict',
      message: "can't approve a job that is waiting",
    });
    await expect(harness.send('job', 'answering', { type: 'nonsense' })).rejects.toMatchObject({
      code: 'invalid-request',
    });
    expect(await harness.send('job', 'answering', { type: 'poke', number: 1 })).toMatchObject({
      deferred: true,
      state: 'waiting',
    });
    expect(await harness.send('job', 'answering', { type: 'start' }, 'once')).toMatchObject({
      deferred: false,
      state: 'preparing',
    });
    expect(await harness.send('job', 'answering', { type: 'start' }, 'once')).toMatchObject({ state: 'preparing' });
    await expect(harness.send('job', 'answering', { type: 'start' }, 'twice')).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  test('that uses an invalid address is rejected at once', async () => {
    await expect(
      sendEvent(harness.bus, { kind: 'job', id: 'No*', event: { type: 'x' }, messageId: 'm' }),
    ).rejects.toMatchObject({ code: 'invalid-request' });
    const long = harness.create('job', 'x'.repeat(200));
    await expect(long).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining('longer than'),
    });
  });
});

describe('messages that arrive twice, late, or not at all', () => {
  test('a result that arrives several times is applied once', async () => {
    const effectId = await preparing('doubled');
    const outcome: Outcome = { status: 'done', output: prepared };
    await Promise.all([1, 2, 3, 4].map(() => harness.result('job', 'doubled', effectId, outcome)));
    await harness.reaches('job', 'doubled', 'asking');
    await harness.quiet('job', 'doubled');
    expect((await harness.events('doubled')).map((event) => event.state)).toEqual(['waiting', 'preparing', 'asking']);
  });

  test("a `create` after the end finds the tombstone: the actor doesn't run again, and the attached event is rejected", async () => {
    await preparing('ended');
    await harness.send('job', 'ended', { type: 'stop' });
    await harness.quiet('job', 'ended');
    const tombstone = await readActor(harness.bus, 'job', 'ended');
    expect(tombstone).toMatchObject({ status: 'done', state: 'stopped', context: null });
    await createActor(harness.bus, {
      kind: 'job',
      id: 'ended',
      input: {},
      messageId: 'late',
      event: { type: 'start' },
    });
    await harness.quiet('job', 'ended');
    expect(await readActor(harness.bus, 'job', 'ended')).toEqual(tombstone);
    await expect(harness.send('job', 'ended', { type: 'stop' })).rejects.toMatchObject({
      message: 'job ended has ended as stopped',
    });
    expect(await harness.commands('ended')).toHaveLength(1);
  });

  test('a tombstone is small and has an expiry', async () => {
    const value = await harness.value('job', 'ended');
    expect(value).toMatchObject({ snapshot: null, inFlight: {}, deferred: [] });
    const [stored] = await harness.stored(`KV_${buckets.actors}`, `$KV.${buckets.actors}.job.ended`);
    expect(stored?.headers['Nats-TTL']).toBe(`${60 * 24 * 3_600}s`);
  });

  test('the sweeper wakes an actor whose timer was lost', async () => {
    const host = await harness.host({ limits: { sweepGraceMs: 0 } });
    await preparing('lost', { limitMs: 400 });
    expect(await harness.bus.purge(streams.actors, subjects.timer('job', 'lost', '*'))).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await readActor(harness.bus, 'job', 'lost'))?.state).toBe('preparing');
    await host.sweep();
    await harness.reaches('job', 'lost', 'failed');
  });

  test("an event that arrives before its actor's `create` is applied after it", async () => {
    const sent = harness.send('job', 'early', { type: 'start' });
    await eventually(
      async () => (await harness.stored(streams.actors, subjects.timer('job', 'early', '*'))).length === 1,
    );
    await harness.create('job', 'early');
    await harness.reaches('job', 'early', 'preparing');
    expect(await sent).toMatchObject({ state: 'preparing' });
  });
});
