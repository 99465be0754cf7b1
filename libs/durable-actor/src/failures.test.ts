import { buckets, streams, subjects } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Unrestorable, actorLimits, readActor } from './index.ts';
import type { ActorDefinition, HostLimits } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';
import { desk, job } from './test-support/machines.ts';
import { encodeValue } from './value.ts';

let harness: Harness;
const quick: Partial<HostLimits> = {
  deliveriesMax: 3,
  retryDelayMsMin: 5,
  retryDelayMsMax: 20,
  absentDelayMsMin: 5,
  absentTriesMax: 3,
  sweepIntervalMs: 600_000,
};

beforeAll(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.stopHosts());
afterAll(() => harness.stop());

const host = (options: { actors?: ActorDefinition[] } = {}) => harness.host({ limits: quick, ...options });

async function preparing(id: string, input: unknown = {}): Promise<string> {
  await harness.create('job', id, input, { type: 'start' });
  await harness.reaches('job', id, 'preparing');
  // The state is stored before the outbox is published.
  await harness.quiet('job', id);
  return harness.effectOf('job', id, 'prepare');
}
const asking = async (id: string) => {
  const effectId = await preparing(id);
  await harness.result('job', id, effectId, { status: 'done', output: prepared });
};

describe("a message that can't be handled", () => {
  test("because it isn't a message becomes a dead letter at once; the actor still handles others", async () => {
    await host();
    await preparing('fine');
    await harness.post('job', 'fine', new TextEncoder().encode('{broken'));
    await harness.post('job', 'fine', { type: 'shout' });
    await harness.quiet('job', 'fine');
    const letters = await harness.deadLetters(subjects.actor('job', 'fine'));
    expect(letters.map((letter) => letter.reason.code)).toEqual(['invalid-request', 'invalid-request']);
    expect(await harness.send('job', 'fine', { type: 'stop' })).toMatchObject({ state: 'stopped' });
  });

  test('because the machine fails becomes a dead letter after the limit; the sender is notified, and the actor is unharmed', async () => {
    await host();
    await harness.create('job', 'guarded');
    await harness.reaches('job', 'guarded', 'waiting');
    await expect(harness.send('job', 'guarded', { type: 'explode' })).rejects.toMatchObject({ code: 'delivery-limit' });
    await harness.quiet('job', 'guarded');
    expect(await harness.deadLetters(subjects.actor('job', 'guarded'))).toMatchObject([
      { reason: { code: 'delivery-limit' } },
    ]);
    expect(await harness.send('job', 'guarded', { type: 'start' })).toMatchObject({ state: 'preparing' });
  });

  test('because its actor is never created becomes a dead letter after its tries', async () => {
    await host();
    await expect(harness.send('job', 'unborn', { type: 'start' })).rejects.toMatchObject({ code: 'not-found' });
    await harness.quiet('job', 'unborn');
    expect(await harness.deadLetters(subjects.actor('job', 'unborn'))).toHaveLength(1);
    expect(await harness.stored(streams.actors, subjects.timer('job', 'unborn', '*'))).toEqual([]);
  });

  test('because it is a `create` that is too old becomes a dead letter; no actor is created', async () => {
    await host();
    const issuedAt = new Date(Date.now() - actorLimits.createAgeMsMax - 60_000).toISOString();
    await harness.post('job', 'old', { type: 'create', messageId: 'c', input: {}, issuedAt });
    await harness.quiet('job', 'old');
    expect(await readActor(harness.bus, 'job', 'old')).toBeNull();
    expect(await harness.deadLetters(subjects.actor('job', 'old'))).toMatchObject([{ reason: { code: 'expired' } }]);
  });
});

describe('an actor that waits for another actor', () => {
  test('is notified if the other actor has ended', async () => {
    await host();
    await harness.create('desk', 'main');
    await harness.reaches('desk', 'main', 'open');
    await harness.send('desk', 'main', { type: 'close' });
    await asking('spurned');
    expect(await harness.reaches('job', 'spurned', 'failed')).toMatchObject({ summary: { error: 'conflict' } });
  });

  test('is notified when its request is given up on', async () => {
    const broken: ActorDefinition = {
      ...desk,
      kind: 'desk',
      machine: desk.machine.provide({
        guards: {
          somebodyWaits: () => {
            throw new Error('broken');
          },
        },
      }),
    };
    await host({ actors: [job, broken] });
    const effectId = await preparing('hopeful');
    await harness.create('desk', 'broken');
    await harness.reaches('desk', 'broken', 'open');
    await harness.post(
      'desk',
      'broken',
      { type: 'event', messageId: 'm', event: { type: 'serve' }, issuedAt: new Date().toISOString() },
      { 'coppice-effect-id': effectId, 'coppice-reply-to': 'job/hopeful' },
    );
    expect(await harness.reaches('job', 'hopeful', 'failed')).toMatchObject({ summary: { error: 'delivery-limit' } });
  });
});

/** Returns a job definition whose machine fails on each result of the command in `preparing`. */
const stuck = (): ActorDefinition => ({
  ...job,
  emitted: (event, self) => {
    if (
      (event as unknown as { state: string }).state === 'asking' ||
      (event as unknown as { state: string }).state === 'failed'
    )
      throw new Error('no words');
    return job.emitted?.(event, self) ?? { subject: '', data: {} };
  },
});

describe('a result that the machine fails on', () => {
  test('is replaced by a failed result; if the machine fails on that too, the actor is parked and both messages are kept', async () => {
    await host({ actors: [stuck(), desk] });
    const effectId = await preparing('stuck');
    await harness.result('job', 'stuck', effectId, { status: 'done', output: prepared });
    const view = await eventually(async () => {
      const found = await readActor(harness.bus, 'job', 'stuck');
      return found?.status === 'parked' ? found : null;
    });
    expect(view).toMatchObject({ state: 'preparing', parked: { code: 'transition-failed' } });
    await harness.quiet('job', 'stuck');
    expect(await harness.deadLetters(subjects.actor('job', 'stuck'))).toHaveLength(2);
    expect(await harness.stored(streams.actors, subjects.stash('job', 'stuck'))).toHaveLength(1);
    await harness.stopHosts();

    const repaired = await host({ actors: [{ ...job, version: 2, migrations: { 1: (snapshot) => snapshot } }, desk] });
    expect(await repaired.unpark('job', 'stuck')).toBe('unparked');
    expect(await harness.reaches('job', 'stuck', 'failed')).toMatchObject({ summary: { error: 'delivery-limit' } });
    expect(await repaired.unpark('job', 'stuck')).toBe('not-parked');
    expect(await repaired.unpark('job', 'nobody')).toBe('absent');
  });
});

describe("a stored value that the machine can't continue from", () => {
  test('is parked, with its messages in the stash, until a host with a suitable machine unparks it', async () => {
    await host();
    await harness.create('job', 'ahead');
    await harness.reaches('job', 'ahead', 'waiting');
    await harness.quiet('job', 'ahead');
    await harness.stopHosts();

    const second: ActorDefinition = { ...job, version: 2, hash: 'second' };
    await host({ actors: [second, desk] });
    expect(await harness.send('job', 'ahead', { type: 'start' }, 'm1')).toMatchObject({
      state: 'parked',
      deferred: true,
    });
    await harness.post('job', 'ahead', {
      type: 'event',
      messageId: 'm2',
      event: { type: 'poke', number: 1 },
      issuedAt: new Date().toISOString(),
    });
    await harness.quiet('job', 'ahead');
    expect(await readActor(harness.bus, 'job', 'ahead')).toMatchObject({
      status: 'parked',
      state: 'waiting',
      parked: { code: 'machine-changed' },
    });
    expect(await harness.stored(streams.actors, subjects.stash('job', 'ahead'))).toHaveLength(2);
    await harness.stopHosts();

    const migrating = await host({
      actors: [{ ...second, hash: 'third', migrations: { 1: (snapshot) => snapshot } }, desk],
    });
    await migrating.sweep();
    await harness.reaches('job', 'ahead', 'preparing');
    await harness.quiet('job', 'ahead');
    expect(await harness.value('job', 'ahead')).toMatchObject({
      machine: { version: 2, hash: 'third' },
      deferred: [{ event: { type: 'poke' } }],
    });
    expect(await harness.stored(streams.actors, subjects.stash('job', 'ahead'))).toEqual([]);
  });

  test("and bytes that aren't a value are parked unchanged; the process survives", async () => {
    const running = await host();
    const bytes = new TextEncoder().encode('{"format":9}');
    await harness.bus.keyValue(buckets.actors).create('job.garbage', bytes);
    await harness.create('job', 'garbage');
    await eventually(async () => (await readActor(harness.bus, 'job', 'garbage'))?.parked?.code === 'corrupt');
    await harness.quiet('job', 'garbage');
    await expect(running.unpark('job', 'garbage')).rejects.toBeInstanceOf(Unrestorable);
    const kept = await harness.bus.keyValue(buckets.actors).get('job.garbage');
    expect(kept?.value.subarray(-bytes.length)).toEqual(bytes);
    await preparing('alive');
  });
});

describe('a state that would grow too large', () => {
  const tooMuch = 'x'.repeat(actorLimits.valueBytesMax);

  test('because of an event: the event is rejected, and the actor continues', async () => {
    await host();
    await preparing('padded');
    await expect(harness.send('job', 'padded', { type: 'pad', text: tooMuch })).rejects.toMatchObject({
      code: 'limit-exceeded',
    });
    expect(await harness.send('job', 'padded', { type: 'stop' })).toMatchObject({ state: 'stopped' });
  });

  test('because of a result: the machine is notified that its effect failed', async () => {
    await host();
    const effectId = await preparing('large');
    const output = { ...prepared, branch: tooMuch };
    await harness.result('job', 'large', effectId, { status: 'done', output });
    expect(await harness.reaches('job', 'large', 'failed')).toMatchObject({ summary: { error: 'limit-exceeded' } });
  });

  test('because of a `create`: it becomes a dead letter, and no actor is created', async () => {
    await host();
    await harness.create('job', 'giant', { padding: tooMuch });
    await eventually(async () => (await harness.deadLetters(subjects.actor('job', 'giant'))).length === 1);
    expect(await readActor(harness.bus, 'job', 'giant')).toBeNull();
  });

  test("because of the actor's own timer: the actor is parked with its bytes unchanged", async () => {
    await host();
    await preparing('brimming', { limitMs: 600_000 });
    await harness.stopHosts();
    const value = await harness.value('job', 'brimming');
    // The machine emits a long text, so the value exceeds its limit after the timer's transition.
    const growing: ActorDefinition = {
      ...job,
      emitted: (event, self) => ({ ...job.emitted?.(event, self), data: { text: tooMuch } }) as never,
    };
    const due = {
      ...value.inFlight,
      [`${value.kind}_brimming_x_1`]: {
        type: 'timer' as const,
        sendId: 'xstate.after.limit.job.preparing',
        atMs: 1,
        event: { type: 'xstate.after.limit.job.preparing' },
      },
    };
    const entry = await harness.bus.keyValue(buckets.actors).get('job.brimming');
    await harness.bus
      .keyValue(buckets.actors)
      .update('job.brimming', encodeValue({ ...value, inFlight: due }), entry?.revision ?? 0);
    await host({ actors: [growing, desk] });
    await harness.post('job', 'brimming', { type: 'wake' });
    await eventually(async () => (await readActor(harness.bus, 'job', 'brimming'))?.parked?.code === 'limit-exceeded');
    await harness.quiet('job', 'brimming');
    expect(await harness.stored(streams.actors, subjects.stash('job', 'brimming'))).toHaveLength(1);
  });
});
