import { temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { requireBranch } from './known-branch.ts';

test('the error for a misspelt branch lists similar branches first, however many there are', async () => {
  await using repository = await temporaryRepository({ files: { 'a.txt': 'x' } });
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await repository.git('branch', name);
  await requireBranch(repository.path, 'main');
  await expect(requireBranch(repository.path, 'mian')).rejects.toMatchObject({
    code: 'branch-not-found',
    details: { issues: [{ field: 'baseBranch', expected: expect.stringMatching(/^one of main, /), received: 'mian' }] },
  });
});
