import { expect, test } from 'vitest';
import { isAtLeast, parseVersion } from './versions.ts';

test.each([
  ['2.38.0', '2.38.0', true],
  ['2.38', '2.38.0', true],
  ['2.9.9', '2.38.0', false],
  ['3.0', '2.38.0', true],
  ['1.40', '1.41.0', false],
  ['2.12.0-RC.1', '2.12.0', true],
  ['', '2.38.0', false],
  ['unknown', '2.38.0', false],
])('%j against %j: %s', (version, minimum, expected) => {
  expect(isAtLeast(version, minimum)).toBe(expected);
});

test.each([
  ['git version 2.39.3 (Apple Git-146)\n', '2.39.3'],
  ['git version 2.47.1.windows.1\n', '2.47.1'],
  ['git version 2.39\n', '2.39.0'],
  ['command not found', null],
])('the version in %j is %s', (text, version) => {
  expect(parseVersion(text)).toBe(version);
});
