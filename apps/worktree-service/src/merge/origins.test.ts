/** Tests unusual repositories of users, from worktree to landing. */
import { expect, test } from 'vitest';
import { fixture, shell } from '../test-support/fixture.ts';
import { landOf, readyTask } from '../test-support/task.ts';
import { remove } from '../worktree/remove.ts';
import { date, runId } from '../test-support/fixture.ts';

const history = 'for n in 1 2 3; do echo $n > n.txt; git add n.txt; git commit -qm $n; done';

const origins: [string, (source: string, folder: string) => Promise<string>][] = [
  [
    'a shallow clone',
    async (source, folder) => {
      await shell(
        `cd '${source}' && ${history} && git clone -q --depth 1 'file://${source}' '${folder}/shallow'`,
        folder,
      );
      return `${folder}/shallow`;
    },
  ],
  [
    'objects named by SHA-256',
    async (_source, folder) => {
      await shell(`git init -q -b main --object-format=sha256 sha && cd sha && ${history}`, folder);
      return `${folder}/sha`;
    },
  ],
  [
    'a git directory elsewhere',
    async (source, folder) => {
      await shell(`git clone -q --separate-git-dir=elsewhere '${source}' apart`, folder);
      return `${folder}/apart`;
    },
  ],
  [
    'a path with a space and a quote',
    async (source, folder) => {
      await shell(`git clone -q '${source}' "a user's own"`, folder);
      return `${folder}/a user's own`;
    },
  ],
  [
    'a submodule of another repository',
    async (source, folder) => {
      await shell(
        `git init -q -b main outer && cd outer && git -c protocol.file.allow=always submodule --quiet add '${source}' inner && cd inner && git switch -q main`,
        folder,
      );
      return `${folder}/outer/inner`;
    },
  ],
];

test.each(origins)('%s', async (_name, derive) => {
  await using f = await fixture({ derive });
  const ready = await readyTask(f, 'one', { 'one.txt': '1' }, { checkout: true });
  expect(await landOf(f, ready)).toEqual({ status: 'landed', commit: ready.commit });
  expect(await shell('git status --porcelain && git log -1 --format=%s && cat one.txt', f.address)).toBe(
    'feat(core): merge one\n1',
  );
  const input = { taskId: 'one', runId, effectId: 'remove', repository: f.address, keepBranch: false, date };
  expect(await remove(f.context, input)).toEqual({ rescue: null });
});

test('a partial clone is rejected, and the error says what to do', async () => {
  await using f = await fixture({
    derive: async (source, folder) => {
      await shell(
        `git -C '${source}' config uploadpack.allowFilter true && git clone -q --filter=blob:none --no-checkout 'file://${source}' partial`,
        folder,
      );
      return `${folder}/partial`;
    },
  });
  await expect(f.prepared()).rejects.toMatchObject({
    code: 'repository-not-found',
    message: expect.stringMatching(/partial clone/),
  });
});
