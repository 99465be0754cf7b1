import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { isDiskFull } from './full-disk.ts';

test('a full disk is recognised by the output of a program, but not by a path that an agent chose', () => {
  const text = 'fatal: write error: No space left on device';
  expect(isDiskFull(new CoppiceError('git-failed', text))).toBe(true);
  expect(isDiskFull(new CoppiceError('sandbox-failed', 'x', { details: { stderr: text } }))).toBe(true);
  expect(isDiskFull(new CoppiceError('disk-full', 'the disk of /data has 0 MiB free'))).toBe(true);
  expect(isDiskFull(Object.assign(new Error('write'), { code: 'ENOSPC' }))).toBe(true);
  const link = 'x: a link to "/No space left on device" leads out of the repository';
  expect(isDiskFull(new CoppiceError('import-refused', link))).toBe(false);
  expect(isDiskFull(new CoppiceError('limit-exceeded', 'ENOSPC.txt is too large'))).toBe(false);
});
