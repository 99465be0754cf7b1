import { expect, test } from 'vitest';
import { ofReport } from './disk-usage.ts';

const gibibyte = 1024 ** 3;
const report = {
  measuredAt: '2026-02-03T04:05:06Z',
  folder: '/data',
  freeBytes: 9 * gibibyte,
  freeBytesMin: gibibyte,
  totalBytes: 100 * gibibyte,
  inodesFree: 5000,
  inodesFreeMin: 1000,
  refusesWork: false,
  parts: [
    {
      name: 'kept-folders' as const,
      folder: '/data/rescue',
      count: 3,
      bytes: 20 * gibibyte,
      bytesMax: 50 * gibibyte,
      oldest: '2026-01-01T00:00:00Z',
    },
    { name: 'worktrees' as const, folder: '/data/worktrees', count: 1, bytes: null, bytesMax: null, oldest: null },
  ],
  goesSoon: [],
};

test('the sizes of what is kept on the disk are shown with their limits', () => {
  expect(ofReport(report)).toMatchObject({
    level: 'ok',
    found:
      'kept-folders 20.0 GiB of at most 50.0 GiB (3), worktrees of unknown size (1); measured 2026-02-03T04:05:06Z',
  });
  expect(ofReport(null)).toMatchObject({ level: 'ok' });
});

test('work that will soon be deleted is listed, and a disk with too little free space is a fault', () => {
  const what = '/data/tasks.git refs/coppice/rescue/task/1';
  expect(ofReport({ ...report, goesSoon: [{ what, at: '2026-02-09T00:00:00Z' }] })).toMatchObject({
    level: 'warning',
    fix: expect.stringContaining(`${what} on 2026-02-09`) as string,
  });
  expect(ofReport({ ...report, refusesWork: true, freeBytes: 0 })).toMatchObject({
    level: 'fault',
    found: expect.stringContaining('0.0 GiB are free, and 1.0 GiB are kept free') as string,
    fix: expect.stringContaining('delete folders in /data/rescue') as string,
  });
  expect(ofReport({ ...report, refusesWork: true, inodesFree: 999 })).toMatchObject({
    level: 'fault',
    found: expect.stringContaining('999 inodes are free, and 1000 are kept free') as string,
  });
});
