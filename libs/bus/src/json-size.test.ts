import { expect, test } from 'vitest';
import { requireSmallJson } from './json-size.ts';

const limits = { valuesMax: 6, depthMax: 3 };
const check = (text: string) => () => requireSmallJson(Buffer.from(text), 'the body', limits);

test.each([
  '{"a":[{},2,1]}',
  '[1,"a,,,,,,,,[[[[{{{{",3]',
  String.raw`[1,"\",,,,,,,[[[[[",2]`,
  String.raw`[1,"\\",2]`,
  '[',
  '"',
  '',
])('%s is small', (text) => {
  expect(check(text)).not.toThrow();
});

test.each([
  [`[${'{},'.repeat(4)}{}]`, 'expected at most 6 JSON values'],
  [String.raw`["\\",1,2,3,4,5,6]`, 'expected at most 6 JSON values'],
  ['[[[[]]]]', 'expected at most 3 levels of nesting'],
])('%s is refused', (text, complaint) => {
  expect(check(text)).toThrow(complaint);
});
