import { expect, test } from 'vitest';
import { AnswerBounds } from './answer-bounds.ts';

test('an id may be as long as a signature and counts as text; a name must be short', () => {
  const bounds = new AnswerBounds('the answer', 20_000);
  expect(bounds.checkedId('x'.repeat(16_000))).toHaveLength(16_000);
  expect(() => bounds.checkedId('x'.repeat(4_001))).toThrow('the answer is over the limit of 20000 bytes');
  expect(() => bounds.checkedId('x'.repeat(16_385))).toThrow(
    'an id in the answer has 16385 characters, over the limit of 16384',
  );
  expect(() => bounds.checkedName('x'.repeat(513))).toThrow(
    'a name in the answer has 513 characters, over the limit of 512',
  );
});
