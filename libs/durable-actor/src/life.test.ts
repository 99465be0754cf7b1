import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { streams, subjects } from '@coppice/contracts';
import { readActor } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await Harness.start();
  await harness.host();
});
afterAll(() => harness.stop());

/** A job that has got as far as waiting for its command. */
async function preparing(id: string, input: unknown = {}): Promise<string> {
  await harness.create('job', id, input, { type: 'start' });
  await harness.reaches('job', id, 'preparing');
  return harness.effectOf('job', id, 'prepare');
}

describe('an actor', () => {
  test('lives from create to tombstone: command, request, events in order, message to another actor', async () => {
    const effectId = await preparing('one');
    const [command, ...others] = await harness.commands('one');
    expect(others).toEqual([]);
    expect(command).toMatchObject({ effectId, replyTo: { kind: 'job', id: 'one' }, input: { repository: '/repo', baseBranch: 'main' } });

    await harness.result('job', 'one', effectId, { status: 'done', output: prepared });
    await harness.reaches('job', 'one', 'asking');
    await harness.reaches('desk', 'main', 'open');
    await harness.quiet('desk', 'main');
    await harness.send('desk', 'main', { type: 'serve' });
    await harness.reaches('job', 'one', 'approving');
    expect(await harness.send('job', 'one', { type: 'approve' })).toMatchObject({ state: 'finished', deferred: false });

    const view = await readActor(harness.bus, 'job', 'one');
    expect(view).toMatchObject({ status: 'done', state: 'finished', output: { ticket: 1 }, summary: { error: null, pokes: [] }, context: null });
    await harness.quiet('desk', 'main');
    expect(await readActor(harness.bus, 'desk', 'main')).toMatchObject({ context: { left: ['one'], open: [] } });
    const events = await harness.events('one');
    expect(events.map((event) => event.state)).toEqual(['waiting', 'preparing', 'asking', 'approving', 'finished']);
    expect(events.map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(new Set(events.map((event) => event.id)).size).toBe(5);
  });

  test('that leaves a state calls off its timers', async () => {
    const effectId = await preparing('timers');
    const timers = async () => harness.stored(streams.actors, subjects.timer('job', 'timers', '*'));
    expect(await timers()).toHaveLength(2);
    await harness.result('job', 'timers', effectId, { status: 'done', output: prepared });
    await harness.reaches('job', 'timers', 'asking');
    await harness.quiet('job', 'timers');
    expect(await timers()).toEqual([]);
  });
});
