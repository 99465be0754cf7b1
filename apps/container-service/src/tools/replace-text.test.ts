import { expect, test } from 'vitest';
import { replaceText } from './replace-text.ts';

const replace = (file: string, oldText: string, newText: string) => {
  const replaced = replaceText(Buffer.from(file), oldText, newText);
  return replaced.status === 'replaced' ? Buffer.from(replaced.bytes).toString() : replaced;
};
const refusal = (reason: string | RegExp) => ({ status: 'refused', reason: expect.stringMatching(reason) as string });

test('a text that occurs once is replaced, and no character in it is special', () => {
  expect(replace('a $1 b', '$1', '$& $$')).toBe('a $& $$ b');
  expect(replace('ünï\n', 'nï', 'ñ')).toBe('üñ\n');
  expect(replace('x\n', 'x\n', '')).toBe('');
});

test('a text that occurs more than once is refused with the lines of all occurrences, overlapping ones too', () => {
  expect(replace('a\nb\na\n', 'a', 'c')).toMatchObject(refusal(/2 times, at lines 1, 3;/));
  expect(replace('aaa', 'aa', 'c')).toMatchObject(refusal(/2 times/));
});

test('a text that does not occur is refused with the most similar lines', () => {
  const file = 'function one() {\n    return 1;\n}\n\nfunction two() {\n    return 2;\n}\n';
  expect(replace(file, 'function two() {\n  return 2;\n}', '')).toEqual(
    refusal(/^oldText is there only with other white space, at line 5:\nfunction two\(\) \{\n {4}return 2;\n\}$/),
  );
  expect(replace(file, 'function twoo() {\n    return 2;', '')).toEqual(
    refusal(/nearest is at line 5:\nfunction two\(\) \{\n {4}return 2;$/),
  );
  expect(replace(file, '%%%%', '')).toEqual(refusal(/no line is like it/));
  expect(replace('', 'x', 'y')).toEqual(refusal(/not there/));
  expect(replace('x', 'x', 'x')).toEqual(refusal(/are the same/));
});

test('line ends of the file are kept, even if they are mixed', () => {
  expect(replace('a\r\nb\r\n', 'a\nb', 'c\nd')).toBe('c\r\nd\r\n');
  expect(replace('a\r\nb\nc\n', 'b\nc', 'd\ne')).toBe('a\r\nd\ne\n');
});
