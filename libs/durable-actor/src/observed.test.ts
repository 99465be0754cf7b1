import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Census, CrashPoint, StoredChange } from './index.ts';
import { Harness } from './test-support/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await Harness.start();
});
afterEach(() => harness.stopHosts());
afterAll(() => harness.stop());

const limits = { sweepIntervalMs: 600_000, outageDelayMsMin: 10, outageDelayMsMax: 10 };

test.for(['state-stored', 'outbox-published', 'senders-answered'] as const)(
  'a stored transition is reported once, although its handling fails at %s and is repeated',
  async (point) => {
    const changes: StoredChange[] = [];
    const passed: CrashPoint[] = [];
    const reach = (at: CrashPoint) => {
      passed.push(at);
      if (at === point && passed.filter((each) => each === point).length === 1) throw new Error('here');
    };
    await harness.host({ limits, hooks: { reach }, onStored: (change) => void changes.push(change) });
    await harness.create('job', `observed-${point}`);
    await harness.quiet('job', `observed-${point}`);
    expect(passed.filter((each) => each === 'message-received').length).toBeGreaterThan(1);
    expect(changes).toMatchObject([{ kind: 'job', before: null, events: [{ state: 'waiting' }] }]);
    await harness.send('job', `observed-${point}`, { type: 'start' });
    expect(changes).toHaveLength(2);
    expect(changes[1]).toMatchObject({ before: { id: `observed-${point}` }, events: [{ state: 'preparing' }] });
  },
);

test("a walk over all actors counts those that haven't ended, by kind and state", async () => {
  let census: Census = [];
  const host = await harness.host({ limits, onCensus: (taken) => (census = taken) });
  const count = async (state: string) => {
    await host.sweep();
    return census.filter((entry) => entry.kind === 'job' && entry.state === state).map((entry) => entry.count);
  };
  const [before] = await count('waiting');
  for (const id of ['counted-1', 'counted-2']) {
    await harness.create('job', id);
    await harness.reaches('job', id, 'waiting');
  }
  expect(await count('waiting')).toEqual([(before ?? 0) + 2]);
  await harness.send('job', 'counted-1', { type: 'stop' });
  expect(await count('waiting')).toEqual([(before ?? 0) + 1]);
});
