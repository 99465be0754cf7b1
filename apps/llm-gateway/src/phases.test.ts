import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Phase } from './phases.ts';

/**
 * Returns the steps in the order in which they ran. The calls start in the same event loop turn, and have three steps
 * each.
 */
async function stepsOf(phase: Phase, calls: number): Promise<string[]> {
  const noted: string[] = [];
  const call = async (name: number) => {
    await phase.begun();
    for (const step of ['a', 'b', 'c']) {
      noted.push(`${step}${name}`);
      await Promise.resolve();
    }
  };
  await Promise.all(Array.from({ length: calls }, (_, index) => call(index)));
  return noted;
}

test.each([
  ['reading', () => Phase.afterReading()],
  ['work', () => Phase.afterWork()],
])('after %s, calls continue together, step by step, in their order', async (_name, begin) => {
  expect((await stepsOf(begin(), 3)).join(' ')).toBe('a0 a1 a2 b0 b1 b2 c0 c1 c2');
});

test('at most sixteen calls run together, and none is lost', async () => {
  const noted = await stepsOf(Phase.afterReading(), 40);
  expect(noted).toHaveLength(120);
  expect(noted.indexOf('c0')).toBe(32);
  expect(noted.indexOf('a16')).toBe(48);
});

test('writes run after all work of their event loop turn', async () => {
  const [arriving, writing] = [Phase.afterReading(), Phase.afterWork()];
  const noted: string[] = [];
  for (const name of ['one', 'other'])
    arriving.add(() => {
      noted.push(`${name} works`);
      writing.add(() => noted.push(`${name} writes`));
    });
  await nextTurn();
  expect(noted).toEqual(['one works', 'other works', 'one writes', 'other writes']);
});

test('a callback that is added while others run is not lost', async () => {
  const phase = Phase.afterReading();
  const noted: number[] = [];
  for (let first = 0; first < 17; first++) phase.add(() => phase.add(() => noted.push(first)));
  while (noted.length < 17) await nextTurn();
  expect(noted).toEqual(Array.from({ length: 17 }, (_, index) => index));
});
