import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { CrashPoint } from '../context.ts';
import { openContext } from '../open.ts';
import { date, fixture, message, runId, shell, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { landOf, mergeOf, readyTask } from '../test-support/task.ts';
import { asUser, digDeep } from '../test-support/plants.ts';
import { removeTree } from '@coppice/files';
import { temporaryFolder } from '@coppice/testing';
import { pushBranch } from '../merge/push-branch.ts';
import { checkpoint, commit } from '../import/import.ts';
import { keepFolder } from './kept-folder.ts';
import { prepare } from './prepare.ts';
import { remove } from './remove.ts';
import { noteRemoval } from './removed.ts';

const removeInput = (f: Fixture, task = taskId, keepBranch = false) => ({
  taskId: task,
  runId,
  effectId: `${task}_remove`,
  repository: f.address,
  keepBranch,
  date,
});
const prepareInput = (f: Fixture, task = taskId) => ({
  taskId: task,
  effectId: `${task}_prepare`,
  repository: f.address,
  baseBranch: 'main',
  slug: 'slug',
  setupKey: null,
});
const removed = (f: Fixture, task = taskId, keepBranch = false) => remove(f.context, removeInput(f, task, keepBranch));
const branches = (f: Fixture) => f.tasks('for-each-ref', '--format=%(refname:short)', 'refs/heads');

const crashingAt = (f: Fixture, point: CrashPoint) =>
  openContext({
    dataFolder: f.dataFolder,
    node: 'node1',
    reached: (at) => {
      if (at === point) throw new Error('crash');
    },
  });

/** Fetches the kept work with the arguments in the removal's result. */
async function fetched(f: Fixture, rescue: string | null): Promise<string> {
  await f.repository.git('fetch', '-q', ...(rescue ?? '').split(' '));
  return f.repository.git('rev-parse', 'FETCH_HEAD');
}

test('nothing is kept if nothing would be lost', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  expect(await removed(f)).toEqual({ rescue: null });
  expect(existsSync(tree)).toBe(false);
  expect(await branches(f)).toBe('');
  expect(await f.tasks('worktree', 'list')).not.toContain(taskId);
  await f.context.trash.settle();
  expect(readdirSync(join(f.dataFolder, 'trash'))).toEqual([]);
  expect(await removed(f)).toEqual({ rescue: null });
});

test('commands that a task sent before its removal create nothing after it, even if the removal was interrupted', async () => {
  await using f = await fixture();
  const ready = await readyTask(f, taskId, { 'x.txt': 'x' });
  await expect(remove(await crashingAt(f, 'rescued'), removeInput(f))).rejects.toThrow('crash');
  const refused = { code: 'conflict', retryable: false, message: expect.stringMatching(/task1 .* removed/) };
  await expect(f.prepared()).rejects.toMatchObject(refused);
  await removed(f);
  await expect(f.prepared()).rejects.toMatchObject(refused);
  await expect(mergeOf(f, taskId, ready.taskCommit, { checkout: true, attempt: 2 })).rejects.toMatchObject(refused);
  const input = { ...prepareInput(f), slug: 'another' };
  await expect(prepare(f.context, input)).rejects.toMatchObject(refused);
  await f.context.trash.settle();
  for (const folder of ['worktrees', 'checkouts']) expect(readdirSync(join(f.dataFolder, folder))).toEqual([]);
  expect(await branches(f)).toBe('');
  // If the bus has lost a task and the task is created again with the same id, the new task has another life.
  await expect(prepare(f.context, { ...input, effectId: 'another-life_1' })).resolves.toMatchObject({ node: 'node1' });
});

test('a merge that is being prepared while its task is removed leaves nothing', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const result = await f.committed();
  const context = {
    ...f.context,
    reached: (point: CrashPoint) => {
      if (point === 'merge-recorded') noteRemoval(f.context, removeInput(f).effectId);
    },
  };
  const merging = mergeOf({ ...f, context }, taskId, 'commit' in result ? result.commit : '', { checkout: true });
  await expect(merging).rejects.toMatchObject({ code: 'conflict' });
  expect(readdirSync(join(f.dataFolder, 'checkouts'))).toEqual([]);
});

test('a checkpoint is removed with its worktree, whose last state is kept; if the worktree is lost, the checkpoint stays', async () => {
  await using f = await fixture();
  for (const lost of [false, true]) {
    const task = `lost-${lost}`;
    const { tree } = await f.prepared(task);
    write(tree, 'one.txt', 'saved');
    await checkpoint(f.context, { taskId: task, runId, effectId: `checkpoint-${lost}`, date });
    write(tree, 'one.txt', 'last');
    if (lost) rmSync(tree, { recursive: true });
    const { rescue } = await removed(f, task);
    expect(await f.tasks('for-each-ref', '--format=%(refname)', 'refs/coppice/checkpoint')).toBe(
      lost ? `refs/coppice/checkpoint/${task}` : '',
    );
    const kept = lost
      ? await f.tasks('show', `refs/coppice/checkpoint/${task}:one.txt`)
      : await f.repository.show('one.txt', await fetched(f, rescue));
    expect(kept).toBe(lost ? 'saved' : 'last');
  }
});

test.each(['at once', 'by a repeat after a crash'])(
  'a checkpoint is removed when its worktree is kept as a folder, %s',
  async (how) => {
    await using f = await fixture();
    const { tree } = await f.prepared();
    write(tree, 'one.txt', 'saved');
    await checkpoint(f.context, { taskId, runId, effectId: 'checkpoint', date });
    symlinkSync('/etc/passwd', join(tree, 'link'));
    const first = how === 'at once' ? f.context : await crashingAt(f, 'rescued');
    const [{ status }] = await Promise.allSettled([remove(first, removeInput(f))]);
    expect(status).toBe(how === 'at once' ? 'fulfilled' : 'rejected');
    expect(await removed(f)).toEqual({ rescue: join(f.dataFolder, 'rescue', `${taskId}.1`) });
    expect(await f.tasks('for-each-ref', 'refs/coppice/checkpoint')).toBe('');
  },
);

test('interrupted imports of the task are removed with its worktree; those of other tasks stay', async () => {
  await using f = await fixture();
  await f.prepared();
  const head = await f.repository.head();
  for (const effect of [`${taskId}_3`, 'other_3', `${taskId}x_3`])
    await f.tasks('update-ref', `refs/coppice/import/${effect}`, head);
  await removed(f);
  const left = await f.tasks('for-each-ref', '--format=%(refname:lstrip=3)', 'refs/coppice/import');
  expect(left.split('\n').toSorted()).toEqual(['other_3', `${taskId}x_3`]);
});

test('the checkpoint of a lost worktree is kept if creating the worktree again was interrupted', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'saved');
  await checkpoint(f.context, { taskId, runId, effectId: 'checkpoint', date });
  rmSync(f.context.layout.worktree(taskId), { recursive: true });
  await expect(prepare(await crashingAt(f, 'checked-out'), prepareInput(f))).rejects.toThrow('crash');
  const { rescue } = await removed(f);
  expect(await f.repository.show('one.txt', await fetched(f, rescue))).toBe('saved');
});

test('the checkpoint of a lost worktree is kept when the worktree is created again, and the removal reports where', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'saved');
  await checkpoint(f.context, { taskId, runId, effectId: 'checkpoint', date });
  rmSync(f.context.layout.worktree(taskId), { recursive: true });
  await f.prepared();
  expect(await f.tasks('show', `refs/coppice/rescue/${taskId}/1:one.txt`)).toBe('saved');
  write(tree, 'two.txt', 'second try');
  await checkpoint(f.context, { taskId, runId, effectId: 'checkpoint-2', date });
  rmSync(join(tree, 'two.txt'));
  const { rescue } = await removed(f);
  expect(await f.repository.show('one.txt', await fetched(f, rescue))).toBe('saved');
});

test('uncommitted work is kept, with the commits below it', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  await f.committed();
  write(tree, 'two.txt', 'not committed');
  const { rescue } = await removed(f);
  expect(rescue).toMatch(/tasks\.git refs\/coppice\/rescue\/task1\/1$/);
  const kept = await fetched(f, rescue);
  expect(await f.repository.show('two.txt', kept)).toBe('not committed');
  expect(await f.repository.show('one.txt', kept)).toBe('committed');
  expect(await branches(f)).toBe('');
});

test('commits that have not landed anywhere are kept', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  const result = await f.committed();
  const { rescue } = await removed(f);
  expect(result).toMatchObject({ commit: await fetched(f, rescue) });
});

test('a branch is kept on request', async () => {
  await using f = await fixture();
  const { tree, branch } = await f.prepared();
  write(tree, 'one.txt', 'committed');
  await f.committed();
  expect(await removed(f, taskId, true)).toEqual({ rescue: null });
  expect(await branches(f)).toBe(branch);
});

test.each(['merge', 'squash'] as const)('work that landed by %s is not kept', async (method) => {
  await using f = await fixture({ bare: true });
  await landOf(f, await readyTask(f, taskId, { 'x.txt': 'x' }, { method }));
  expect(await removed(f)).toEqual({ rescue: null });
  expect(await f.tasks('for-each-ref', 'refs/coppice/rescue')).toBe('');
});

test('pushed work is not kept', async () => {
  await using f = await fixture({ bare: true });
  const { tree, branch } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const result = await f.committed();
  await pushBranch(f.context, {
    taskId,
    repository: f.address,
    branch,
    commit: 'commit' in result ? result.commit : '',
  });
  expect(await removed(f)).toEqual({ rescue: null });
});

test('work that can not be imported is kept as a folder', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'x');
  symlinkSync('/etc/passwd', join(tree, 'link'));
  const { rescue } = await removed(f);
  expect(rescue).toBe(join(f.dataFolder, 'rescue', `${taskId}.1`));
  expect(readFileSync(join(rescue ?? '', 'one.txt'), 'utf8')).toBe('x');
});

test.each([
  { kept: 'a commit', link: false, work: 'uncommitted' },
  { kept: 'a commit', link: false, work: 'committed' },
  { kept: 'a folder', link: true, work: 'uncommitted' },
])('a repeat reports what the first removal kept of $work work: $kept', async ({ link, work }) => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'x');
  if (work === 'committed') await f.committed();
  if (link) symlinkSync('/etc/passwd', join(tree, 'link'));
  const first = await removed(f);
  expect(first.rescue).not.toBeNull();
  expect(await removed(f)).toEqual(first);
  // A removal with another effect id returns the same.
  expect(await remove(f.context, { ...removeInput(f), effectId: 'again' })).toEqual(first);
});

test('after a crash that follows the keeping of a folder, the repeat reports the folder', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  symlinkSync('/etc/passwd', join(tree, 'link'));
  const crashing = await crashingAt(f, 'rescued');
  await expect(remove(crashing, removeInput(f))).rejects.toThrow('crash');
  expect(await removed(f)).toEqual({ rescue: join(f.dataFolder, 'rescue', `${taskId}.1`) });
});

test('after a crash that follows the keeping of work, the repeat keeps nothing more and removes the worktree', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'one.txt', 'x');
  const crashing = await crashingAt(f, 'rescued');
  await expect(remove(crashing, removeInput(f))).rejects.toThrow('crash');
  expect(await removed(f)).toMatchObject({ rescue: expect.stringMatching(/rescue\/task1\/1$/) });
  expect((await f.tasks('for-each-ref', 'refs/coppice/rescue')).split('\n')).toHaveLength(1);
  expect(existsSync(tree)).toBe(false);
});

test('the next start empties the trash, including folders without permissions', async () => {
  await using f = await fixture();
  const left = join(f.dataFolder, 'trash/left');
  mkdirSync(join(left, 'locked/inside'), { recursive: true });
  execFileSync('chmod', ['000', join(left, 'locked')]);
  const next = await openContext({ dataFolder: f.dataFolder, node: 'node1' });
  await next.trash.settle();
  expect(existsSync(left)).toBe(false);
});

test('a missing repository does not block the removal', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  rmSync(f.repository.path, { recursive: true });
  expect(await removed(f)).toEqual({ rescue: null });
  expect(existsSync(tree)).toBe(false);
  expect(await removed(f)).toEqual({ rescue: null });
});

test('a kept folder gets the next free number, and contains no repository in which git would run what an agent wrote', async () => {
  await using f = await fixture();
  const rescue = join(f.dataFolder, 'rescue');
  for (const number of [1, 2]) mkdirSync(join(rescue, `${taskId}.${number}`), { recursive: true });
  const { tree } = await f.prepared();
  symlinkSync('/etc/passwd', join(tree, 'link'));
  const mark = join(f.dataFolder, '../ran');
  await shell(
    `mkdir -p a/nested && cd a/nested && git init -q . && git config core.fsmonitor 'touch ${mark}; false' && cp -r .git ../bare && git config --file ../bare/config core.bare true`,
    tree,
  );
  await shell('git status', join(tree, 'a/nested'));
  expect(existsSync(mark)).toBe(true);
  rmSync(mark);
  expect(await removed(f)).toEqual({ rescue: join(rescue, `${taskId}.3`) });
  const kept = join(rescue, `${taskId}.3`);
  expect(existsSync(join(kept, '.git'))).toBe(false);
  expect(existsSync(join(kept, 'a/nested/.git.disabled/config'))).toBe(true);
  for (const folder of ['.', 'a/nested', 'a/bare']) await shell('git status', join(kept, folder)).catch(() => {});
  expect(existsSync(mark)).toBe(false);
});

test.each([
  [60, 200, 'its path is longer than 4000 bytes'],
  [120, 40, 'folders are nested deeper than 100'],
])(
  '%d nested folders with names of %d characters can not be imported, and are kept with repositories disabled at any depth',
  async (levels, length, reason) => {
    await using f = await fixture();
    const { tree } = await f.prepared();
    await digDeep(tree, levels, length);
    await expect(f.committed()).rejects.toMatchObject({
      code: 'import-refused',
      retryable: false,
      message: expect.stringContaining(reason),
    });
    await shell(
      `perl -e 'my $name = "d" x ${length}; for (1..${levels}) { chdir $name or die } mkdir ".git" or die; open(F, ">", ".git/config") or die'`,
      tree,
    );
    const { rescue } = await removed(f);
    expect(rescue).toBe(join(f.dataFolder, 'rescue', `${taskId}.1`));
    const listed = await shell('find . -name ".git*"', rescue ?? '');
    expect(listed.split('\n').filter((line) => line.endsWith('.git'))).toEqual([]);
    expect(listed.split('\n').filter((line) => line.endsWith('.git.disabled'))).toHaveLength(2);
    await removeTree(rescue ?? '');
  },
);

test('a worktree with read-only folders is kept, even if the stack does not run as root', async () => {
  await using f = await fixture();
  await using folder = await temporaryFolder('kept');
  const tree = join(folder.path, 'tree');
  await asUser(folder.path, async () => {
    mkdirSync(join(tree, 'sub/.git'), { recursive: true });
    writeFileSync(join(tree, 'sub/.git/config'), 'x');
    for (const path of ['sub', '.']) chmodSync(join(tree, path), 0o555);
    const layout = Object.assign(Object.create(f.context.layout) as typeof f.context.layout, {});
    Object.defineProperty(layout, 'rescue', { value: join(folder.path, 'rescue') });
    const kept = await keepFolder({ ...f.context, layout }, taskId, tree);
    expect(readFileSync(join(kept, 'sub/.git.disabled/config'), 'utf8')).toBe('x');
  });
});

test('a removal frees a full disk', async (context) => {
  context.skip(process.getuid?.() !== 0 || process.platform !== 'linux', 'only root of a Linux can mount a small disk');
  await using f = await fixture();
  await using disk = await temporaryFolder('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=711', 'coppice-test', disk.path]);
  try {
    const small = await openContext({ dataFolder: join(disk.path, 'data'), node: 'node1' });
    const trees: string[] = [];
    for (const task of ['one', 'two']) {
      trees.push((await prepare(small, prepareInput(f, task))).mounts[0]?.source ?? '');
    }
    const [one = '', two = ''] = trees;
    write(two, 'work.txt', 'not committed');
    write(one, '.gitignore', 'filler\n');
    await commit(small, { taskId: 'one', runId, effectId: 'commit', message: message(), protect: [] });
    execFileSync('sh', ['-c', 'head -c 10000000 /dev/zero > filler 2>/dev/null || true'], { cwd: one });
    expect(() => writeFileSync(join(disk.path, 'more'), 'x')).toThrow('ENOSPC');
    // A rename keeps the uncommitted work of `two`, and needs no space.
    const kept = await remove(small, removeInput(f, 'two'));
    expect(readFileSync(join(kept.rescue ?? '', 'work.txt'), 'utf8')).toBe('not committed');
    // A new ref has to keep the commit of `one`. The removal of the task's folder frees the space for this ref.
    expect(await remove(small, removeInput(f, 'one'))).toMatchObject({
      rescue: expect.stringContaining('refs/coppice/rescue/one/1'),
    });
    await small.trash.settle();
    writeFileSync(join(disk.path, 'more'), Buffer.alloc(1_000_000));
    expect(readdirSync(small.layout.locks)).toEqual([]);
  } finally {
    execFileSync('umount', [disk.path]);
  }
});
