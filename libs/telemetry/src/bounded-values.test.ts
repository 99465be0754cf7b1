import { expect, test } from 'vitest';
import { BoundedValues, otherValue } from './bounded-values.ts';

test('the first values are reported unchanged, and all others as `_OTHER`', () => {
  const values = new BoundedValues(2);
  expect(values.known('a')).toBe(otherValue);
  expect(['a', 'b', 'a', 'c', 'd', 'b'].map((value) => values.admit(value))).toEqual([
    'a',
    'b',
    'a',
    otherValue,
    otherValue,
    'b',
  ]);
  expect([values.known('b'), values.known('c')]).toEqual(['b', otherValue]);
});
