import { expect, test } from 'vitest';
import { translationOf } from './docker-paths.ts';

test('a path is translated by the innermost mount that contains it', () => {
  const translate = translationOf([
    { Source: '/host/data', Destination: '/data' },
    { Source: '/host/volumes/trees/_data', Destination: '/data/trees' },
  ]);
  expect(translate('/data')).toBe('/host/data');
  expect(translate('/data/a/b')).toBe('/host/data/a/b');
  expect(translate('/data/trees/tree')).toBe('/host/volumes/trees/_data/tree');
  expect(translate('/data/treeshop')).toBe('/host/data/treeshop');
  expect(translate('/elsewhere')).toBe('/elsewhere');
});
