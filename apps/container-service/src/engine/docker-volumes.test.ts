import { expect, test } from 'vitest';
import { scratchVolumes, volumesOf } from './docker-volumes.ts';

const mount = (target: string) => ({ source: '/host', target, readOnly: false });

test('what nothing lies over becomes scratch, however it is written', () => {
  expect(volumesOf({ '/vol/': {}, '/vol': {}, '/a/../b': {}, relative: {} })).toEqual(['/vol', '/b', '/relative']);
  expect(volumesOf(null)).toEqual([]);
  expect(scratchVolumes(['/vol', '/workspace', '/tmp', '/workspaces'], 'i', [mount('/workspace')])).toEqual([
    '/vol',
    '/workspaces',
  ]);
});

test('one inside a mount is refused by its name, and so are too many', () => {
  expect(() => scratchVolumes(['/workspace/data'], 'some/image', [mount('/workspace')])).toThrow(
    /some\/image.*\/workspace\/data/,
  );
  const many = Array.from({ length: 17 }, (_, index) => `/vol${index}`);
  expect(() => scratchVolumes(many, 'i', [])).toThrow(/17 volumes/);
});
