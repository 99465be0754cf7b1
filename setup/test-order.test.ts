import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { slowest } from './test-order.ts';

test('the slowest files exist', () => {
  expect(slowest.filter((file) => !existsSync(join(import.meta.dirname, '..', file)))).toEqual([]);
});
