import { expect, test } from 'vitest';
import { checkNode } from './machine.ts';

test('a Node version that is too old is a fault, and the check says how to fix it', () => {
  expect(checkNode('20.1.0')).toMatchObject({ level: 'fault', fix: expect.stringContaining('setup/setup.js') });
  expect(checkNode('24.0.0')).toMatchObject({ level: 'ok', fix: null });
});
