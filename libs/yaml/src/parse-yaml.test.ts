import { expect, test } from 'vitest';
import { parseYaml } from './parse-yaml.ts';

const text = `# a comment
tasks:
  - name: one
    agent: { kind: loop }
  -
limits:
  12: x
`;

function parsed(yaml: string) {
  const result = parseYaml(yaml);
  if ('problems' in result) throw new Error(result.problems[0].message);
  return result;
}

test.each([
  ['', [2, 1]],
  ['tasks', [2, 1]],
  ['tasks[0]', [3, 5]],
  ['tasks[0].agent.kind', [4, 14]],
  // The place of a missing field is the place of the field around it.
  ['tasks[0].agent.turns', [4, 5]],
  ['tasks[7].name', [2, 1]],
  ['tasks.name', [2, 1]],
  ['limits.12', [7, 3]],
  ['none.at.all', [2, 1]],
])('the field %j is at %j', (field, [line, column]) => {
  expect(parsed(text).placeOf(field)).toEqual({ line, column });
});

test('every problem has a place, a message of one sentence, and a code that quotes nothing', () => {
  const result = parseYaml('a: 1\na: 2\nb: {');
  expect(result).toEqual({
    problems: [
      { message: expect.stringMatching(/^[^\n]+$/) as unknown, code: 'DUPLICATE_KEY', place: { line: 2, column: 1 } },
      { message: expect.any(String) as unknown, code: expect.any(String) as unknown, place: { line: 3, column: 5 } },
    ],
  });
});

test.each([
  ['a: 1\nb:\n  1: x\n  "1": y\n', 'DUPLICATE_KEY', { line: 4, column: 3 }],
  ['a:\n  - b: "\\ud83d"\n', 'HALF_CHARACTER', { line: 2, column: 5 }],
  [Buffer.from('a: 1\nb: caf\xe9\n', 'latin1'), 'NOT_UTF8', { line: 2, column: 7 }],
])(
  'text that other parsers may read differently is reported as a problem with its place (case %#)',
  (source, code, place) => {
    expect(parseYaml(source)).toMatchObject({ problems: [{ code, place }] });
  },
);

test('two escapes that form a surrogate pair are one character', () => {
  expect(parsed(String.raw`a: "\ud83d\ude00"`).value).toEqual({ a: '😀' });
});

test('a small text that expands to a large value is rejected', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let depth = 1; depth < 9; depth++) {
    lines.push(`a${depth}: &a${depth} [${Array.from({ length: 9 }, () => `*a${depth - 1}`).join(', ')}]`);
  }
  expect(parseYaml(lines.join('\n'))).toMatchObject({ problems: [{ code: 'TOO_LARGE' }] });
});

test('an empty text is parsed as null, and the place of every field is the beginning of the text', () => {
  const { value, placeOf } = parsed('');
  expect([value, placeOf('a.b')]).toEqual([null, { line: 1, column: 1 }]);
});
