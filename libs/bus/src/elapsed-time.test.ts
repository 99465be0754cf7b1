import { expect, test } from 'vitest';
import { ElapsedTime } from './elapsed-time.ts';
import { Lease } from './lease.ts';

function setUp() {
  let [monotonicMs, wallMs] = [500, 1_700_000_000_000];
  const time = new ElapsedTime({ monotonicMs: () => monotonicMs, wallMs: () => wallMs });
  return {
    time,
    run: (ms: number) => {
      monotonicMs += ms;
      wallMs += ms;
    },
    setClock: (byMs: number) => (wallMs += byMs),
  };
}

test('time follows the monotonic clock, and the wall clock during a suspension', () => {
  const { time, run, setClock } = setUp();
  expect(time.now()).toBe(500);
  run(1_000);
  expect(time.now()).toBe(1_500);
  setClock(3_600_000);
  expect(time.now()).toBe(3_601_500);
  run(1_000);
  expect(time.now()).toBe(3_602_500);
});

test('a clock that is set back is ignored, but what it gains afterwards counts', () => {
  const { time, run, setClock } = setUp();
  setClock(-60_000);
  expect(time.now()).toBe(500);
  run(100);
  expect(time.now()).toBe(600);
  setClock(20_000);
  expect(time.now()).toBe(20_600);
});

test("differences of a few milliseconds between the clocks don't add up", () => {
  const { time, run, setClock } = setUp();
  for (let reading = 0; reading < 10_000; reading++) {
    run(1);
    setClock(reading % 2 === 0 ? 2 : -2);
    time.now();
  }
  expect(time.now()).toBe(10_500);
});

test('short suspensions add up', () => {
  const { time, setClock } = setUp();
  for (let times = 0; times < 10; times++) {
    setClock(60);
    time.now();
  }
  expect(time.now()).toBe(1_100);
});

test('after a suspension a host knows that its key may have expired, and judges no process by the time before', () => {
  const { time, run, setClock } = setUp();
  const lease = new Lease(15_000);
  lease.tick(time.now());
  lease.confirm(time.now(), time.now());
  const epoch = lease.epoch(time.now());
  setClock(-60_000);
  run(1_000);
  expect(lease.isValid(time.now())).toBe(true);
  expect(lease.soundSince(time.now())).not.toBeNull();
  setClock(60_000);
  expect(lease.isValid(time.now())).toBe(false);
  expect(lease.epoch(time.now())).toBe(epoch + 1);
  expect(lease.soundSince(time.now())).toBeNull();
});
