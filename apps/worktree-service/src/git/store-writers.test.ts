import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually, startProcess, temporaryFolder } from '@coppice/testing';
import { expect, test, vi } from 'vitest';
import { openRepository } from '../context.ts';
import { checkpoint } from '../import/import.ts';
import { openContext } from '../open.ts';
import { inOrigin } from '../repository/origin.ts';
import { date, fixture, runId, shell, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { httpRemote } from '../test-support/http-remote.ts';
import { interfere } from '../test-support/interfere.ts';
import { landOf, readyTask } from '../test-support/task.ts';
import { remove } from '../worktree/remove.ts';
import { updateUserRefs } from './refs.ts';

const storesOf = (f: Fixture): string => {
  const [repositoryId = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  return join(f.dataFolder, 'repositories', repositoryId);
};

function plant(...files: string[]): void {
  for (const file of files) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
  }
}

const leftIn = (stores: string): string[] => [
  join(stores, 'tasks.git/packed-refs.lock'),
  join(stores, 'tasks.git/packed-refs.new'),
  join(stores, 'tasks.git/HEAD.lock'),
  join(stores, `tasks.git/refs/coppice/checkpoint/${taskId}.lock`),
  join(stores, `tasks.git/refs/coppice/done/commit_${taskId}.lock`),
  join(stores, 'tasks.git/objects/info/commit-graph.lock'),
  join(stores, 'origin.git/shallow.lock'),
];

test('every step of a task succeeds despite locks that killed processes have left', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  const left = leftIn(storesOf(f));
  plant(...left);
  write(tree, 'one.txt', '1');
  const startedAt = performance.now();
  await checkpoint(f.context, { taskId, runId, effectId: 'checkpoint', date });
  expect(await f.committed()).toMatchObject({ status: 'committed' });
  plant(...left);
  await remove(f.context, { taskId, runId, effectId: 'removal', repository: f.address, keepBranch: false, date });
  // A new commit makes the next task fetch, and a fetch moves the fetched ref.
  await f.repository.commit('chore: other', { 'other.txt': 'x' });
  const fetched = readdirSync(join(storesOf(f), 'origin.git/refs/fetched')).map((name) =>
    join(storesOf(f), `origin.git/refs/fetched/${name}.lock`),
  );
  expect(fetched).toHaveLength(1);
  plant(...fetched);
  expect(await landOf(f, await readyTask(f, 'next', { 'next.txt': 'x' }))).toMatchObject({ status: 'landed' });
  // With git's default wait of 15 s for each lock, the test would take longer.
  expect(performance.now() - startedAt).toBeLessThan(60_000);
  expect([...left, ...fetched].filter((file) => existsSync(file))).toEqual([]);
});

test('stale locks are removed when the service starts', async () => {
  await using f = await fixture();
  await f.prepared();
  const left = leftIn(storesOf(f));
  plant(...left);
  await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  expect(left.filter((file) => existsSync(file))).toEqual([]);
});

const holding = async (f: Fixture) => {
  await f.prepared();
  const { store } = await openRepository(f.context, f.address);
  const commit = (await store.resolve(`refs/heads/coppice/${taskId}/slug`)) ?? '';
  const ref = 'refs/coppice/checkpoint/held';
  const program = join(import.meta.dirname, '../test-programs/hold-ref.ts');
  const holder = startProcess(program, [store.tasksGit, ref, commit]);
  await holder.waitForLine('held');
  const lock = join(store.tasksGit, `${ref}.lock`);
  expect(existsSync(lock)).toBe(true);
  return { store, holder, lock, ref, commit };
};

/** Lists the locks that serialize removals of lock files. */
const removers = (f: Fixture): string[] =>
  readdirSync(join(f.dataFolder, 'locks')).filter((name) => name.startsWith('left-locks-'));

test('the removal of locks waits for a git of another process instead of removing its lock', async () => {
  await using f = await fixture();
  const { store, holder, lock, ref, commit } = await holding(f);
  await using _ = holder;
  await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  const inode = lstatSync(lock).ino;
  let settled = false;
  // This update succeeds only after the other process has moved the ref to `commit`.
  const moved = store.updateRefs([`delete ${ref} ${commit}`]).finally(() => {
    settled = true;
  });
  await eventually(() => expect(removers(f)).toHaveLength(1));
  expect([settled, lstatSync(lock).ino]).toEqual([false, inode]);
  process.kill(holder.pid, 'SIGUSR2');
  await moved;
  expect(await f.tasks('for-each-ref', ref)).toBe('');
});

test('the removal of locks also waits for a git whose service was killed', async () => {
  await using f = await fixture();
  const { store, holder, lock, ref, commit } = await holding(f);
  await using _ = holder;
  const moved = store.updateRefs([`create ${ref} ${commit}`]);
  await eventually(() => expect(removers(f)).toHaveLength(1));
  expect(existsSync(lock)).toBe(true);
  await holder.kill('SIGKILL');
  await moved;
  expect(await f.tasks('rev-parse', ref)).toBe(commit);
});

test("a daemon started by the user's credential helper doesn't prevent the removal of stale locks", async () => {
  await using servers = new AsyncDisposableStack();
  await using home = await temporaryFolder('home');
  await using f = await fixture({
    bare: true,
    derive: async (source) => servers.use(await httpRemote(source, 'me:secret')).url,
  });
  const socket = join(home.path, 'cache/socket');
  mkdirSync(dirname(socket), { mode: 0o700 });
  const answer = '!f() { test "$1" = get && echo username=me && echo password=secret; }; f';
  writeFileSync(
    join(home.path, '.gitconfig'),
    `[credential]\n\thelper = cache --timeout=60 --socket=${socket}\n\thelper = ${JSON.stringify(answer)}\n`,
  );
  vi.stubEnv('HOME', home.path);
  servers.defer(() => void vi.unstubAllEnvs());
  await using daemon = new AsyncDisposableStack();
  daemon.defer(async () => void (await shell(`git credential-cache --socket='${socket}' exit`, home.path)));
  {
    // Git already starts the daemon when it lists the branch. The wrapper ends that daemon, so that the fetch starts a
    // new one.
    using _ = interfere(f, 'fetch --quiet', `git credential-cache --socket='${socket}' exit`);
    await f.prepared();
  }
  expect(lstatSync(socket).isSocket()).toBe(true);
  const lock = join(storesOf(f), 'origin.git/shallow.lock');
  plant(lock);
  await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  expect(existsSync(lock)).toBe(false);
});

test("a lock in a user's own repository stays, and the error names it", async () => {
  await using f = await fixture();
  const ref = 'refs/coppice/landed/x';
  const lock = join(f.repository.path, '.git', `${ref}.lock`);
  plant(lock);
  const { origin } = await openRepository(f.context, f.address);
  if (origin.kind !== 'local') throw new Error('not a local repository');
  const options = { ...inOrigin(origin), lockTimeoutMs: 50 };
  const commit = await f.repository.head();
  await expect(updateUserRefs(f.context.git, options, 'test', [`create ${ref} ${commit}`])).rejects.toMatchObject({
    code: 'git-contention',
    message: expect.stringMatching(`the lock ${lock} exists: .* remove the file`),
  });
  expect(existsSync(lock)).toBe(true);
});
