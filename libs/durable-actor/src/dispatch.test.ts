import { buckets, subjects } from '@coppice/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { CrashPoint, HostLimits } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';
import { encodeValue } from './value.ts';
import type { ActorValue } from './value.ts';

/** Checks which outbox items are published again. Receivers have to process each unnecessary repeat. */
let harness: Harness;
let passed: CrashPoint[] = [];
const repeats = () => passed.filter((point) => point === 'old-outbox-item-published').length;
const limits: Partial<HostLimits> = { sweepIntervalMs: 600_000 };

beforeAll(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.stopHosts());
afterAll(() => harness.stop());

const host = (more: Partial<HostLimits> = {}) => {
  passed = [];
  return harness.host({ limits: { ...limits, ...more }, hooks: { reach: (point) => void passed.push(point) } });
};

/** Creates a job whose last outbox is published, and stops the host that remembers this. */
async function forgotten(id: string): Promise<ActorValue> {
  await host();
  await harness.create('job', id);
  await harness.reaches('job', id, 'waiting');
  await harness.send('job', id, { type: 'start' });
  await harness.quiet('job', id);
  await harness.stopHosts();
  const value = await harness.value('job', id);
  expect(value.outbox.map((item) => item.type)).toEqual(['event', 'timer', 'timer', 'command']);
  return value;
}

/** Changes the stored value so that the message that caused its outbox seems to be unacknowledged. */
async function inDoubt(id: string, change: Partial<ActorValue> = {}): Promise<void> {
  const value = await harness.value('job', id);
  const { sequence } = await harness.bus.publish(subjects.stash('job', `${id}-cause`), {});
  const actors = harness.bus.keyValue(buckets.actors);
  const entry = await actors.get(`job.${id}`);
  await actors.update(`job.${id}`, encodeValue({ ...value, cause: sequence, ...change }), entry?.revision ?? 0);
}

describe('an outbox is not published again', () => {
  test('by the host that published it', async () => {
    await host();
    await harness.create('job', 'own');
    await harness.reaches('job', 'own', 'waiting');
    await harness.send('job', 'own', { type: 'start' });
    await harness.send('job', 'own', { type: 'stop' });
    expect(repeats()).toBe(0);
    expect(passed).toContain('outbox-item-published');
  });

  test('by another host, once the message that caused it is acknowledged', async () => {
    await forgotten('acknowledged');
    await host();
    await harness.send('job', 'acknowledged', { type: 'pad', text: 'x' });
    expect(repeats()).toBe(0);
    expect((await harness.value('job', 'acknowledged')).outbox).toEqual([]);
    expect(Object.keys((await harness.value('job', 'acknowledged')).inFlight)).toHaveLength(3);
  });

  test('up to the item whose result has arrived', async () => {
    await forgotten('confirmed');
    await inDoubt('confirmed');
    const effectId = await harness.effectOf('job', 'confirmed', 'prepare');
    await host();
    await harness.result('job', 'confirmed', effectId, { status: 'done', output: prepared });
    await harness.reaches('job', 'confirmed', 'asking');
    expect(repeats()).toBe(0);
  });
});

describe('an outbox is published again', () => {
  test('from the first item after the one that is known to be published', async () => {
    await forgotten('partly');
    await inDoubt('partly');
    const effectId = await harness.effectOf('job', 'partly', 'reminder');
    await host();
    await harness.post('job', 'partly', { type: 'timer', effectId });
    await harness.quiet('job', 'partly');
    // The outbox contains event, reminder, time limit and command. The last two are published again.
    expect(repeats()).toBe(2);
    expect(await harness.commands('partly')).toHaveLength(1);
  });

  test('completely, while the message that caused it may still be in handling; then not again', async () => {
    await forgotten('doubtful');
    await inDoubt('doubtful');
    await host();
    await expect(harness.send('job', 'doubtful', { type: 'approve' })).rejects.toMatchObject({ code: 'conflict' });
    expect(repeats()).toBe(4);
    // The host now remembers that the outbox is published.
    await harness.send('job', 'doubtful', { type: 'stop' });
    expect(repeats()).toBe(4);
    expect((await harness.events('doubtful')).map((event) => event.sequence)).toEqual([1, 2, 3]);
  });

  test("even when the message that caused it is over its delivery limit; that message then isn't given up on", async () => {
    const value = await forgotten('limit');
    const { sequence } = await harness.bus.publish(subjects.actor('job', 'limit'), { type: 'wake' });
    const actors = harness.bus.keyValue(buckets.actors);
    const entry = await actors.get('job.limit');
    await actors.update('job.limit', encodeValue({ ...value, cause: sequence }), entry?.revision ?? 0);
    await host({ deliveriesMax: 0 });
    await harness.quiet('job', 'limit');
    expect(repeats()).toBe(4);
    expect(await harness.deadLetters(subjects.actor('job', 'limit'))).toEqual([]);
    expect(await harness.value('job', 'limit')).toMatchObject({ state: 'preparing', cause: sequence });
  });
});
