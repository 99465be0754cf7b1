import { expect, test } from 'vitest';
import { suggestionFor, nearestFirst } from './near.ts';

test.each([
  ['verfy', 'verify'],
  ['taskz', 'tasks'],
  ['dependson', 'dependsOn'],
  ['colour', null],
  ['x', null],
  ['verify'.repeat(10), null],
])('%s may have been meant as %s', (word, meant) => {
  expect(suggestionFor(word, ['name', 'verify', 'tasks', 'dependsOn', 'description'])).toBe(meant);
});

test('sorts the nearest candidate first', () => {
  expect(nearestFirst('mian', ['release', 'develop', 'main'])[0]).toBe('main');
  expect(nearestFirst('mian', [])).toEqual([]);
  expect(suggestionFor('mian', [])).toBeNull();
});
