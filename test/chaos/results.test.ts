import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readResults, resultTables } from './results.ts';
import { faultsFound } from './run.ts';

const results = readResults();

test('docs/chaos.md contains the tables of the committed results', () => {
  const document = readFileSync(path.resolve(import.meta.dirname, '../../docs/chaos.md'), 'utf8');
  expect(document).toContain(resultTables(results));
});

test.each(results)('$file: every figure that must be zero is zero', ({ result }) => {
  expect(faultsFound(result)).toEqual([]);
  expect(result.tasks.planned).toBe(result.options.tasks);
});
