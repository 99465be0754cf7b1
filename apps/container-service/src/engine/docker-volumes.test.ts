import { expect, test } from 'vitest';
import { scratchVolumes, volumesOf } from './docker-volumes.ts';

const mount = (target: string) => ({ source: '/host', target, readOnly: false });

test('volumes that no mount covers become scratch folders, however their paths are written', () => {
  expect(volumesOf({ '/vol/': {}, '/vol': {}, '/a/../b': {}, relative: {} })).toEqual(['/vol', '/b', '/relative']);
  expect(volumesOf(null)).toEqual([]);
  expect(scratchVolumes(['/vol', '/workspace', '/tmp', '/workspaces'], 'i', [mount('/workspace')])).toEqual([
    '/vol',
    '/workspaces',
  ]);
});

test('a volume inside a mount is rejected, and the error names it; too many volumes are rejected, too', () => {
  expect(() => scratchVolumes(['/workspace/data'], 'some/image', [mount('/workspace')])).toThrow(
    /some\/image.*\/workspace\/data/,
  );
  const many = Array.from({ length: 17 }, (_, index) => `/vol${index}`);
  expect(() => scratchVolumes(many, 'i', [])).toThrow(/17 volumes/);
});
