import { temporaryRepository } from '@coppice/testing';
import { afterEach, expect, test, vi } from 'vitest';
import { repositoryAt } from './git.ts';

afterEach(() => vi.unstubAllEnvs());

test("the error for another user's repository names the owner as the problem", async () => {
  await using repository = await temporaryRepository();
  expect(await repositoryAt(repository.path)).toBe(repository.path);
  vi.stubEnv('GIT_CONFIG_GLOBAL', '/dev/null');
  vi.stubEnv('GIT_CONFIG_NOSYSTEM', '1');
  // With this variable, which is for git's own tests, git acts as if another user owned the repository.
  vi.stubEnv('GIT_TEST_ASSUME_DIFFERENT_OWNER', '1');
  await expect(repositoryAt(repository.path)).rejects.toThrow(/dubious ownership.*safe\.directory/);
});
