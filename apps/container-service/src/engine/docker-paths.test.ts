import { expect, test } from 'vitest';
import { translationOf } from './docker-paths.ts';

test('a path goes through the innermost mount that holds it', () => {
  const translate = translationOf([
    { Source: '/host/data', Destination: '/data' },
    { Source: '/host/volumes/work/_data', Destination: '/data/work' },
  ]);
  expect(translate('/data')).toBe('/host/data');
  expect(translate('/data/a/b')).toBe('/host/data/a/b');
  expect(translate('/data/work/tree')).toBe('/host/volumes/work/_data/tree');
  expect(translate('/data/workshop')).toBe('/host/data/workshop');
  expect(translate('/elsewhere')).toBe('/elsewhere');
});
