import { expect, test } from 'vitest';
import { Lease } from './lease.ts';
import { LostOwners } from './lost-owners.ts';
import type { Sighting } from './lost-owners.ts';

const lostAfterMs = 15_000;
const beatMs = 5_000;

/** Creates a process that judges other processes, with a simulated clock and timer. */
function setUp() {
  let now = 1_000_000;
  let sighting: Sighting = 'absent';
  const lease = new Lease(lostAfterMs);
  const owners = new LostOwners({ lease, lostAfterMs, look: async () => sighting, now: () => now });
  const beat = async () => {
    lease.tick(now);
    lease.confirm(now, now);
    await owners.lookAgain();
  };
  return {
    lease,
    beat,
    isLost: () => owners.isLost('gateway-1'),
    see: (seen: Sighting) => (sighting = seen),
    now: () => now,
    /** Advances the clock while the judging process's timer runs. */
    run: async (ms: number) => {
      for (const endsAt = now + ms; now < endsAt;) {
        now += Math.min(beatMs, endsAt - now);
        await beat();
      }
    },
    /** Advances the clock while the judging process is suspended. */
    stand: (ms: number) => (now += ms),
  };
}

test('a process is lost once its key was absent for the whole time, not before', async () => {
  const judge = setUp();
  await judge.beat();
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs - 1);
  expect(await judge.isLost()).toBe(false);
  await judge.run(1);
  expect(await judge.isLost()).toBe(true);
});

test('a process that left is lost at once; a listed process is never lost', async () => {
  const judge = setUp();
  await judge.beat();
  judge.see('listed');
  expect(await judge.isLost()).toBe(false);
  await judge.run(10 * lostAfterMs);
  expect(await judge.isLost()).toBe(false);
  judge.see('left');
  expect(await judge.isLost()).toBe(true);
});

test('the wait restarts for a process that was seen in between', async () => {
  const judge = setUp();
  await judge.beat();
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs - beatMs);
  judge.see('listed');
  await judge.run(beatMs);
  judge.see('absent');
  await judge.run(lostAfterMs);
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs);
  expect(await judge.isLost()).toBe(true);
});

test.each([
  ['was disconnected', (judge: ReturnType<typeof setUp>) => judge.lease.interrupt(judge.now())],
  ['was stopped for a while', (judge: ReturnType<typeof setUp>) => judge.stand(beatMs * 2 + 1)],
  ['was stopped for longer than its own lease', (judge: ReturnType<typeof setUp>) => judge.stand(100 * lostAfterMs)],
])('the wait restarts for a judge that %s', async (_, happen) => {
  const judge = setUp();
  await judge.beat();
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs - beatMs);
  happen(judge);
  // The first check runs before the judge's timer has fired, and the second after it.
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs);
  expect(await judge.isLost()).toBe(false);
  await judge.run(lostAfterMs);
  expect(await judge.isLost()).toBe(true);
});

test("a process whose writes aren't confirmed judges no others, and knows that it may be judged lost itself", async () => {
  const judge = setUp();
  await judge.beat();
  const epoch = judge.lease.epoch(judge.now());
  expect(await judge.isLost()).toBe(false);
  for (let passed = 0; passed < 3 * lostAfterMs; passed += beatMs) {
    judge.stand(beatMs);
    judge.lease.tick(judge.now());
    expect(await judge.isLost()).toBe(false);
  }
  expect(judge.lease.isValid(judge.now())).toBe(false);
  await judge.beat();
  expect(judge.lease.isValid(judge.now())).toBe(true);
  expect(judge.lease.epoch(judge.now())).toBe(epoch + 1);
});

test('a late confirmation covers only the time after its request', () => {
  const lease = new Lease(lostAfterMs);
  lease.confirm(0, 8_000);
  expect(lease.isValid(14_999)).toBe(true);
  expect(lease.isValid(15_000)).toBe(false);
  lease.confirm(5_000, 25_000);
  expect(lease.isValid(25_000)).toBe(false);
});
