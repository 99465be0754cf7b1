import { expect, test } from 'vitest';
import { taskActor } from './actors.ts';

test('only the verification of a task that holds its landing slot uses the landing pool', () => {
  const poolOf = (name: string, context: object) => {
    const source = taskActor.sources?.[name];
    return source?.type === 'command' ? source.pool({}, context) : null;
  };
  const waiting = { node: 'n1', merge: { node: 'n2' }, turn: null };
  const landing = { ...waiting, turn: 'landing_x_1' };
  expect(poolOf('verify', waiting)).toBe('n2');
  expect(poolOf('verify', landing)).toBe('n2_landing');
  expect(poolOf('verify', { ...landing, merge: null })).toBe('n1_landing');
  expect(poolOf('land', landing)).toBe('n2');
  expect(poolOf('removeSandbox', landing)).toBe('n1');
});
