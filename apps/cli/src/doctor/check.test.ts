import { expect, test } from 'vitest';
import { isAtLeast } from './check.ts';
import { checkNode } from './machine.ts';

test.each([
  ['2.38.0', '2.38.0', true],
  ['2.38', '2.38.0', true],
  ['2.9.9', '2.38.0', false],
  ['3.0', '2.38.0', true],
  ['2.12.0-RC.1', '2.12.0', true],
  ['', '2.38.0', false],
  ['unknown', '2.38.0', false],
])('%j against %j: %s', (version, least, expected) => {
  expect(isAtLeast(version, least)).toBe(expected);
});

test('a Node that is too old is a fault with its fix', () => {
  expect(checkNode('20.1.0')).toMatchObject({ level: 'fault', fix: expect.stringContaining('setup/setup.js') });
  expect(checkNode('24.0.0')).toMatchObject({ level: 'ok', fix: null });
});
