import { expect, test } from 'vitest';
import { eventually } from './eventually.ts';
import { manualClock } from './manual-clock.ts';

test('the probe is repeated while it throws or returns false, null or undefined', async () => {
  const answers = [
    () => null,
    () => false,
    () => undefined,
    () => {
      throw new Error('not yet');
    },
    () => 0,
  ];
  expect(await eventually(() => answers.shift()?.(), { intervalMs: 1 })).toBe(0);
  expect(answers).toHaveLength(0);
});

test('after a timeout the error contains the last reason', async () => {
  const probe = () => {
    expect(1).toBe(2);
  };
  await expect(eventually(probe, { timeoutMs: 30, intervalMs: 5, description: 'equality' })).rejects.toThrow(
    /equality did not come within 30 ms.*expected 1 to be 2/s,
  );
});

test('a manual clock moves only when it is advanced, and never back', () => {
  const clock = manualClock('2026-11-24T00:00:00Z');
  clock.now().setFullYear(1999);
  clock.advance(1_500);
  expect(clock.now().toISOString()).toBe('2026-11-24T00:00:01.500Z');
  expect(() => clock.advance(-1)).toThrow(RangeError);
  expect(() => manualClock('tomorrow')).toThrow(RangeError);
});
