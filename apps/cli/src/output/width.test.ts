import { expect, test } from 'vitest';
import { displayWidth, truncate } from './width.ts';

test('width counts columns: wide characters take two, colours and combining marks none', () => {
  expect(displayWidth('abc')).toBe(3);
  expect(displayWidth('日本')).toBe(4);
  expect(displayWidth('e\u0301')).toBe(1);
  expect(displayWidth('👩‍💻')).toBe(2);
  expect(displayWidth('\u001B[31mred\u001B[0m')).toBe(3);
});

test('truncates to a number of columns and marks the omission', () => {
  expect(truncate('short', 10)).toBe('short');
  expect(truncate('much too long', 6)).toBe('much …');
  expect(truncate('日本語', 4)).toBe('日…');
  expect(truncate('x', 0)).toBe('');
});
