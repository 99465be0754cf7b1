import { expect, test } from 'vitest';
import { sandboxToolSchemas, toolDefinitions } from './tools.ts';

test('tools are described in the part of JSON Schema that every server understands', () => {
  const definitions = toolDefinitions();
  expect(definitions.map(({ name }) => name)).toEqual([
    'run',
    'read',
    'write',
    'edit',
    'list',
    'search',
    'todo',
    'finish',
  ]);
  expect(definitions.find(({ name }) => name === 'read')?.parameters).toEqual({
    type: 'object',
    properties: {
      path: { type: 'string', description: 'Relative to the root of the repository, with forward slashes.' },
      fromLine: { type: 'integer', minimum: 1, default: 1 },
      lines: { type: 'integer', minimum: 1, maximum: 10_000, default: 2_000 },
    },
    required: ['path'],
    additionalProperties: false,
  });
  expect(JSON.stringify(definitions)).not.toMatch(/Length|maxItems|\$schema|"pattern":"/);
});

test.each([
  ['/workspace/src/a.ts', 'src/a.ts'],
  ['./src/a.ts', 'src/a.ts'],
  ['-x', '-x'],
  ['two words/ü', 'two words/ü'],
  ['../x', null],
  ['/etc/passwd', null],
  ['a/.git/config', null],
  ['', null],
])('the path %j of a file is read as %j', (path, read) => {
  const parsed = sandboxToolSchemas.read.safeParse({ path });
  expect(parsed.success ? parsed.data.path : null).toBe(read);
});

test.each([
  ['/workspace', '.'],
  ['', '.'],
  ['./', '.'],
  ['src/', 'src'],
  ['/etc', null],
  ['a/../..', null],
])('the folder %j is read as %j', (path, read) => {
  const parsed = sandboxToolSchemas.list.safeParse({ path });
  expect(parsed.success ? parsed.data.path : null).toBe(read);
});
