import { expect, test } from 'vitest';
import { slug } from './identifiers.ts';

test.each([
  ['Write ünïcode, naïvely', 30, 'write-unicode-naively'],
  ['ÉCRIRE', 30, 'ecrire'],
  ['ﬁne ①', 30, 'fine-1'],
  ['  --- a / b --- ', 30, 'a-b'],
  ['日本語で', 30, 'task'],
  ['', 30, 'task'],
  ['twelve letters', 7, 'twelve'],
  ['--abcdef', 3, 'abc'],
  ['é'.repeat(40), 30, 'e'.repeat(30)],
])('%j in at most %i characters is %s', (text, charactersMax, expected) => {
  expect(slug(text, charactersMax)).toBe(expected);
});
