import { expect, test } from 'vitest';
import { Tail } from './tail.ts';

test('returns the last lines and the number of lines before them', () => {
  const tail = new Tail(3);
  expect(tail.end()).toEqual({ lines: [], earlier: 0 });
  tail.add(['1', '2']);
  expect(tail.end()).toEqual({ lines: ['1', '2'], earlier: 0 });
  for (let number = 3; number <= 50; number++) tail.add([String(number)]);
  expect(tail.end()).toEqual({ lines: ['48', '49', '50'], earlier: 47 });
});
