import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { buckets, streams, subjects } from '@coppice/contracts';
import { eventually, startProcess } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { crashPoints } from './crash-points.ts';
import type { CrashPoint } from './crash-points.ts';
import { readActor } from './index.ts';
import type { HostLimits } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';
import { decodeStored, encodeParked, encodeValue } from './value.ts';

/**
 * Kills a host between every two steps of handling a message, checks everything that is stored, and lets another host
 * continue. Each test uses its own actor.
 */
let harness: Harness;
let count = 0;
const covered = new Set<CrashPoint>();
/** The short ack wait makes the server redeliver a dead host's message soon. */
const limits: Partial<HostLimits> = { ackWaitMs: 1_000, sweepIntervalMs: 600_000, retryDelayMsMin: 20 };
const names = () => `a${++count}`;

beforeAll(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.stopHosts());
afterAll(() => harness.stop());

/**
 * Starts a host that kills itself at a point, and waits for its end. The test fails if the host doesn't reach the
 * point.
 */
async function crashAt(point: CrashPoint, occurrence = 1, more: Partial<HostLimits> = {}): Promise<void> {
  covered.add(point);
  const script = path.join(import.meta.dirname, 'test-programs/crash-host.ts');
  const child = startProcess(
    script,
    [harness.server.url, point, String(occurrence), JSON.stringify({ ...limits, ...more }), '1'],
    {
      COPPICE_LOG_LEVEL: 'warn',
    },
  );
  const timeout = setTimeout(() => child.signal('SIGTERM'), 12_000);
  const exit = await child.exited;
  clearTimeout(timeout);
  if (exit.signal !== 'SIGKILL')
    throw new Error(`${point} was not reached:\n${child.lines.map((line) => line.text).join('\n')}`);
}

/** Creates a job in a state, with an empty inbox and without a running host. */
async function parkedAt(state: 'waiting' | 'preparing', input: unknown = {}): Promise<string> {
  const id = names();
  await harness.host({ limits });
  await harness.create('job', id, input, ...(state === 'preparing' ? [{ type: 'start' }] : []));
  await harness.reaches('job', id, state);
  await harness.quiet('job', id);
  await harness.stopHosts();
  return id;
}

/** Returns the stored state, the published messages and the unacknowledged messages. */
async function left(id: string, kind = 'job') {
  const view = await readActor(harness.bus, kind, id);
  return {
    state: view?.state,
    status: view?.status,
    events: (await harness.events(id)).map((event) => event.state),
    timers: (await harness.stored(streams.actors, subjects.timer(kind, id, '*'))).length,
    commands: (await harness.commands(id)).length,
    inbox: (await harness.stored(streams.actors, subjects.actor(kind, id))).length,
    stash: (await harness.stored(streams.actors, subjects.stash(kind, id))).length,
  };
}
const eventMessage = (type: string, messageId: string = type) => ({
  type: 'event',
  messageId,
  event: { type },
  issuedAt: new Date().toISOString(),
});
const atRest = { timers: 0, commands: 0, inbox: 0, stash: 0 };

async function finishes(id: string): Promise<void> {
  const effectId = await harness.effectOf('job', id, 'prepare');
  expect((await harness.commands(id)).map((command) => command.effectId)).toEqual([effectId]);
  await harness.result('job', id, effectId, { status: 'done', output: prepared });
  await harness.reaches('job', id, 'asking');
  const desk = () => harness.deskContext();
  await eventually(async () => (await desk()).open.some((entry) => entry.name === id));
  expect((await desk()).open.filter((entry) => entry.name === id)).toHaveLength(1);
  while ((await desk()).open.length > 0) await harness.send('desk', 'main', { type: 'serve' });
  await harness.reaches('job', id, 'approving');
  await harness.send('job', id, { type: 'approve' });
  await harness.quiet('desk', 'main');
  expect(await left(id)).toEqual({
    ...atRest,
    state: 'finished',
    status: 'done',
    events: ['waiting', 'preparing', 'asking', 'approving', 'finished'],
    commands: 1,
  });
  expect((await harness.events(id)).map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
  expect((await desk()).left.filter((name) => name === id)).toHaveLength(1);
}

describe('a crash while an event is handled', () => {
  const before = {
    state: 'waiting',
    status: 'active',
    events: ['waiting'],
    timers: 0,
    commands: 0,
    inbox: 1,
    stash: 0,
  };
  const stored = { ...before, state: 'preparing' };
  const published = { ...stored, events: ['waiting', 'preparing'] };
  const all = { ...published, timers: 2, commands: 1 };
  const table: [CrashPoint, number, object][] = [
    ['message-received', 1, before],
    ['value-read', 1, before],
    ['transition-computed', 1, before],
    ['state-stored', 1, stored],
    ['outbox-item-published', 1, published],
    ['outbox-item-published', 2, { ...published, timers: 1 }],
    ['outbox-item-published', 3, { ...published, timers: 2 }],
    ['outbox-item-published', 4, all],
    ['outbox-published', 1, all],
    ['senders-answered', 1, all],
    ['message-acknowledged', 1, { ...all, inbox: 0 }],
  ];
  test.each(table)('at %s (%i)', async (point, occurrence, expected) => {
    const id = await parkedAt('waiting');
    await harness.post('job', id, eventMessage('start'));
    await crashAt(point, occurrence);
    expect(await left(id)).toEqual(expected);

    await harness.host({ limits });
    await harness.reaches('job', id, 'preparing');
    await harness.quiet('job', id);
    expect(await left(id)).toEqual({ ...all, inbox: 0 });
    await finishes(id);
  });
});

describe('a crash while the outbox that a dead host left is published', () => {
  const none = {
    state: 'preparing',
    status: 'active',
    events: ['waiting'],
    timers: 0,
    commands: 0,
    inbox: 2,
    stash: 0,
  };
  const published = { ...none, events: ['waiting', 'preparing'] };
  const table: [CrashPoint, number, object][] = [
    ['old-outbox-item-published', 1, published],
    ['old-outbox-item-published', 2, { ...published, timers: 1 }],
    ['old-outbox-item-published', 4, { ...published, timers: 2, commands: 1 }],
    ['old-outbox-published', 1, { ...published, timers: 2, commands: 1 }],
  ];
  test.each(table)('at %s (%i)', async (point, occurrence, expected) => {
    const id = await parkedAt('waiting');
    await harness.post('job', id, eventMessage('start'));
    await crashAt('state-stored');
    await harness.post('job', id, eventMessage('stop'));
    expect(await left(id)).toEqual(none);
    await crashAt(point, occurrence);
    expect(await left(id)).toEqual(expected);

    await harness.host({ limits });
    await harness.reaches('job', id, 'stopped');
    await harness.quiet('job', id);
    const end = await left(id);
    expect(end).toEqual({
      ...atRest,
      state: 'stopped',
      status: 'done',
      events: ['waiting', 'preparing', 'stopped'],
      commands: 1,
    });
    const [command] = await harness.commands(id);
    const claim = await harness.bus.keyValue(buckets.effects).get(command?.effectId ?? '');
    expect(JSON.parse(new TextDecoder().decode(claim?.value))).toEqual({ state: 'cancelled' });
  });
});

test('a crash after the rejection of a request was published: the sender gets it once', async () => {
  const id = await parkedAt('preparing');
  const deskId = `d${id}`;
  const effectId = await harness.effectOf('job', id, 'prepare');
  // The desk rejects `serve`, since no job has sent it a request.
  await harness.host({ limits });
  await harness.create('desk', deskId);
  await harness.reaches('desk', deskId, 'open');
  await harness.quiet('desk', deskId);
  await harness.stopHosts();
  await harness.post('desk', deskId, eventMessage('serve', 'request-1'), {
    'coppice-effect-id': effectId,
    'coppice-reply-to': `job/${id}`,
  });
  await crashAt('refusal-published');
  expect(await left(deskId, 'desk')).toMatchObject({ state: 'open', inbox: 1 });
  expect(await left(id)).toMatchObject({ state: 'preparing', inbox: 1 });

  await harness.host({ limits });
  await harness.reaches('job', id, 'failed');
  await harness.quiet('desk', deskId);
  await harness.quiet('job', id);
  expect(await left(id)).toMatchObject({ events: ['waiting', 'preparing', 'failed'], inbox: 0 });
  expect(await readActor(harness.bus, 'job', id)).toMatchObject({ summary: { error: 'conflict' } });
});

test('a crash after an event for an absent actor was copied: the event is applied once', async () => {
  const id = names();
  await harness.post('job', id, eventMessage('start'));
  await crashAt('absent-copied');
  expect(await left(id)).toMatchObject({ state: undefined, timers: 1, inbox: 1 });

  await harness.host({ limits });
  await harness.create('job', id);
  await harness.reaches('job', id, 'preparing');
  await eventually(async () =>
    expect(await left(id)).toMatchObject({ timers: 2, inbox: 0, events: ['waiting', 'preparing'], commands: 1 }),
  );
  await finishes(id);
});

describe('a crash while an actor is parked', () => {
  const table: [CrashPoint, object][] = [
    ['actor-parked', { status: 'parked', inbox: 1, stash: 0 }],
    ['stash-copied', { status: 'parked', inbox: 1, stash: 1 }],
  ];
  test.each(table)('at %s', async (point, expected) => {
    const id = await parkedAt('waiting');
    const entry = await harness.bus.keyValue(buckets.actors).get(`job.${id}`);
    const value = await harness.value('job', id);
    const foreign = encodeValue({ ...value, machine: { version: 1, hash: 'other' } });
    await harness.bus.keyValue(buckets.actors).update(`job.${id}`, foreign, entry?.revision ?? 0);
    await harness.post('job', id, eventMessage('start'));
    await crashAt(point);
    expect(await left(id)).toMatchObject({ ...expected, state: 'waiting' });

    await harness.host({ limits });
    await harness.quiet('job', id);
    expect(await left(id)).toMatchObject({ status: 'parked', state: 'waiting', inbox: 0, stash: 1, commands: 0 });
    const kept = await harness.bus.keyValue(buckets.actors).get(`job.${id}`);
    expect(decodeStored(kept?.value ?? new Uint8Array())).toMatchObject({
      type: 'parked',
      parked: { code: 'machine-changed' },
      original: foreign,
    });
  });
});

describe('a crash while an actor is unparked', () => {
  const table: [CrashPoint, number, object][] = [
    ['unpark-stored', 1, { status: 'active', inbox: 1, stash: 2 }],
    ['unpark-message-published', 1, { status: 'active', inbox: 2, stash: 2 }],
    ['unpark-message-published', 2, { status: 'active', inbox: 3, stash: 1 }],
  ];
  test.each(table)('at %s (%i)', async (point, occurrence, expected) => {
    const id = await parkedAt('waiting');
    const actors = harness.bus.keyValue(buckets.actors);
    const entry = await actors.get(`job.${id}`);
    const note = { code: 'machine-changed' as const, message: 'by another', parkedAtMs: 1, by: '7:other' };
    await actors.update(`job.${id}`, encodeParked(note, entry?.value ?? new Uint8Array()), entry?.revision ?? 0);
    await harness.bus.publish(subjects.stash('job', id), eventMessage('start'));
    await harness.bus.publish(subjects.stash('job', id), {
      ...eventMessage('poke'),
      event: { type: 'poke', number: 5 },
    });
    await harness.post('job', id, { type: 'wake' });
    await crashAt(point, occurrence);
    expect(await left(id)).toMatchObject({ ...expected, state: 'waiting' });

    await harness.host({ limits });
    await harness.reaches('job', id, 'preparing');
    await harness.quiet('job', id);
    expect(await left(id)).toMatchObject({ stash: 0, events: ['waiting', 'preparing'], commands: 1 });
    expect((await harness.value('job', id)).deferred).toHaveLength(1);
    await finishes(id);
    expect((await readActor(harness.bus, 'job', id))?.summary).toMatchObject({ pokes: [5] });
  });
});

describe('a crash while a message is given up on', () => {
  const table: [CrashPoint, number][] = [
    ['dead-letter-stored', 0],
    ['failure-published', 1],
  ];
  test.each(table)('at %s', async (point, notifications) => {
    const id = await parkedAt('preparing');
    const deskId = `d${id}`;
    const effectId = await harness.effectOf('job', id, 'prepare');
    await harness.post('desk', deskId, new TextEncoder().encode('not json'), {
      'coppice-effect-id': effectId,
      'coppice-reply-to': `job/${id}`,
    });
    await crashAt(point);
    expect(await harness.deadLetters(subjects.actor('desk', deskId))).toHaveLength(1);
    expect(await left(deskId, 'desk')).toMatchObject({ inbox: 1 });
    expect(await left(id)).toMatchObject({ state: 'preparing', inbox: notifications });

    await harness.host({ limits });
    await harness.reaches('job', id, 'failed');
    await harness.quiet('desk', deskId);
    await harness.quiet('job', id);
    expect(await harness.deadLetters(subjects.actor('desk', deskId))).toMatchObject([
      { reason: { code: 'invalid-request' } },
    ]);
    expect(await left(id)).toMatchObject({ events: ['waiting', 'preparing', 'failed'] });
  });
});

describe('a crash of the sweeper', () => {
  const sweep: Partial<HostLimits> = { sweepIntervalMs: 50, sweepGraceMs: 0, sweepLeaseMs: 1_000 };
  const table: [CrashPoint, number][] = [
    ['sweeper-leased', 0],
    ['sweeper-woke', 1],
  ];
  test.each(table)('at %s', async (point, inbox) => {
    const id = await parkedAt('preparing', { limitMs: 2_000 });
    const timers = subjects.timer('job', id, '*');
    expect(await harness.bus.purge(streams.actors, timers)).toBe(2);
    await eventually(() => harness.value('job', id).then((value) => value.createdAtMs + 2_200 < Date.now()));
    await crashAt(point, 1, sweep);
    expect(await left(id)).toMatchObject({ state: 'preparing', inbox });

    await harness.host({ limits: { ...limits, ...sweep } });
    await harness.reaches('job', id, 'failed');
    await harness.quiet('job', id);
    expect(await left(id)).toMatchObject({ events: ['waiting', 'preparing', 'failed'] });
    expect(await readActor(harness.bus, 'job', id)).toMatchObject({ summary: { error: 'timed-out' } });
  });
});

describe('the list of crash points', () => {
  test('contains exactly the points in the sources, each of which occurs once', async () => {
    const found: string[] = [];
    const variables: unknown[] = [];
    for (const file of await readdir(import.meta.dirname)) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file === 'crash-points.ts') continue;
      const text = await readFile(path.join(import.meta.dirname, file), 'utf8');
      for (const [, name, variable] of text.matchAll(/\breach\((?:'([a-z-]+)'|(\w+))\)/g)) {
        if (name !== undefined) found.push(name);
        else variables.push([file, variable]);
      }
      for (const [, name] of text.matchAll(/#publishItems\([^)]*'([a-z-]+)'\)/g)) found.push(name ?? '');
    }
    // Only `#publishItems` calls `reach` with a variable. The second expression finds the names that its callers pass.
    expect(variables).toEqual([['dispatch.ts', 'point']]);
    expect(found.toSorted()).toEqual([...crashPoints].toSorted());
  });

  test('has a crash test for each point', () => {
    expect([...covered].toSorted()).toEqual([...crashPoints].toSorted());
  });
});
