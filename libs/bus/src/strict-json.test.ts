import { CoppiceError } from '@coppice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseStrictJson } from './strict-json.ts';

const limits = { valuesMax: 1_000, depthMax: 20 };
const parse = (text: string | Uint8Array) =>
  parseStrictJson(typeof text === 'string' ? Buffer.from(text) : text, 'the body', limits);

function refusalOf(text: string | Uint8Array) {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof CoppiceError) return error;
    throw error;
  }
  throw new Error('accepted');
}

/** Returns the value and 0 issues, or the number of issues of the rejection. @throws any other error */
function outcomeOf(data: Uint8Array): { value: unknown; issues: number } {
  try {
    return { value: parse(data), issues: 0 };
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    return { value: undefined, issues: (error.details?.['issues'] as unknown[] | undefined)?.length ?? 0 };
  }
}

describe('JSON that other parsers may read differently is rejected', () => {
  test.each([
    ['{"a":1,"a":2}', 'a', 'each field once', 'it again at line 1, column 8'],
    ['{"a":{"b":1,\n "\\u0062":2}}', 'a.b', 'each field once', 'it again at line 2, column 2'],
    ['[{"x":0},{"x":[{"y":1,"z":2,"y":1}]}]', '[1].x[0].y', 'each field once', 'it again at line 1, column 29'],
    ['{"__proto__":1,"__proto__":2}', '__proto__', 'each field once', 'it again at line 1, column 16'],
    [
      String.raw`{"a":["\ud83d\ude00","\ude00"]}`,
      'a[1]',
      'Unicode text without unpaired surrogates',
      String.raw`"\ude00"`,
    ],
    [String.raw`{"a":{"\uD83D":1}}`, 'a.\ufffd', 'Unicode text without unpaired surrogates', String.raw`"\ud83d"`],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22]), '', 'text in UTF-8', 'the byte 0xff at line 1, column 3'],
    [Buffer.from('{"a":\n"\xfd\xe9"}', 'latin1'), 'a', 'text in UTF-8', 'the byte 0xfd at line 2, column 2'],
    // An unpaired surrogate in UTF-8 (CESU-8), an overlong slash, and a character that the end of the text cuts off.
    [Buffer.from('5b22eda0bd225d', 'hex'), '[0]', 'text in UTF-8', 'the byte 0xed at line 1, column 3'],
    [Buffer.from('5b22c0af225d', 'hex'), '[0]', 'text in UTF-8', 'the byte 0xc0 at line 1, column 3'],
    [Buffer.from('5b22efbfbde282', 'hex'), '[0]', 'text in UTF-8', 'the byte 0xe2 at line 1, column 4'],
  ])('%s', (text, field, expected, received) => {
    const error = refusalOf(text);
    expect(error.code).toBe('invalid-request');
    expect(error.details?.['issues']).toEqual([{ field, expected, received }]);
    expect(error.message).toBe(
      `the body: ${field === '' ? '' : `${field}: `}expected ${expected}, received ${received}`,
    );
    expect(error.message.isWellFormed()).toBe(true);
  });
});

test('invalid UTF-8 is rejected even in a text that is nested too deep for the parser', () => {
  const error = refusalOf(Buffer.concat([Buffer.from('['.repeat(100_000)), Buffer.from([0xff])]));
  expect(error.code).toBe('invalid-request');
  expect(error.details?.['issues']).toEqual([
    { field: '', expected: 'text in UTF-8', received: 'the byte 0xff at line 1, column 100001' },
  ]);
});

test.each([
  ['', '', 'JSON, here a value', 'the end of the text at line 1, column 1'],
  ['{"a":[1,2', 'a[1]', 'JSON, here a comma or ]', 'the end of the text at line 1, column 10'],
  ['{\n"a":1\n"b":2}', 'a', 'JSON, here a comma', '"b":2} at line 3, column 1'],
  ['{"a":{"b":tru}}', 'a.b', 'JSON, here a value', 'tru}} at line 1, column 11'],
  ['{"a":1,}', '', 'JSON, here a field name in double quotes', '} at line 1, column 8'],
  ['{"a":1} x', '', 'JSON, here a value', 'x at line 1, column 9'],
  ['{"a":"\t"}', 'a', 'JSON, here a string without unescaped control characters', '"\t"} at line 1, column 6'],
  ['{"a":"\\q"}', 'a', 'JSON, here a string with valid escapes', '"\\q"} at line 1, column 6'],
  ['{"a":/* */1}', 'a', 'JSON, here a value; comments are not allowed', '/* */1} at line 1, column 6'],
])('a syntax error names the field, the line and the column: %s', (text, field, expected, received) => {
  const error = refusalOf(text);
  expect(error.details?.['issues']).toEqual([{ field, expected, received }]);
  expect(error.message).toContain(received);
});

test.each([
  [`{"a":{"b":[${'0,'.repeat(1_000)}0]}}`, 'a.b', 'at most 1000 JSON values'],
  [`{"a":${'{"b":'.repeat(30)}`, 'a.b.b.b.b.b.b.b.b…', 'at most 20 levels of nesting'],
])('the error for a text over a limit names the field (case %#)', (text, field, expected) => {
  const error = refusalOf(text);
  expect(error.code).toBe('limit-exceeded');
  expect(error.details?.['issues']).toMatchObject([{ field, expected }]);
});

test("a byte order mark isn't part of the text", () => {
  expect(parse('\ufeff{"a":"\ufeff"}')).toEqual({ a: '\ufeff' });
});

test('any value is read as it was written, with escapes or without', () => {
  const json = fc.json({ maxDepth: 6, noUnicodeString: false, stringUnit: 'binary' });
  fc.assert(
    fc.property(json, (text) => {
      expect(parse(text)).toEqual(JSON.parse(text));
      const escaped = text.replaceAll(
        /[^\x00-\x7f]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
      expect(parse(escaped)).toEqual(JSON.parse(text));
    }),
    { seed: 8 },
  );
});

test('any bytes are either rejected as an invalid request or read as JSON.parse reads them', () => {
  const part = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '"a":',
    '1',
    'null',
    '\\',
    '\\ud83d',
    '\n',
    'x',
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(part, { maxLength: 30 }).map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(bytes, (data) => {
      const { value, issues } = outcomeOf(data);
      expect(issues).toBe(value === undefined ? 1 : 0);
      expect(value).toEqual(value === undefined ? undefined : JSON.parse(Buffer.from(data).toString()));
    }),
    { seed: 8, numRuns: 3_000 },
  );
});
