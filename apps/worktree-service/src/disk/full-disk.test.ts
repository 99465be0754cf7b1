import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotNow, type CommandHandler } from '@coppice/bus';
import type { ErrorCode } from '@coppice/contracts';
import { FullDiskWaits } from '@coppice/disk';
import { temporaryFolder } from '@coppice/testing';
import { expect, test, type TestContext } from 'vitest';
import type { Context } from '../context.ts';
import { commandHandlers, endpoints, fetchPlaces } from '../handlers.ts';
import { openContext } from '../open.ts';
import { date, fixture, message, write, type Fixture } from '../test-support/fixture.ts';
import { withFullDisk } from './full-disk.ts';
import { diskSettingsDefault } from './settings.ts';

const idle = { report: null, request: () => {} };
const owner = { tenant: 'default', runId: 'run1', taskId: 'task1' };

/** Returns a function that runs commands through the service's handlers. */
function servedBy(context: Context, waits = new FullDiskWaits()) {
  const handlers = commandHandlers(context, fetchPlaces(8)).map(withFullDisk(context, idle, waits));
  let count = 0;
  return (name: string, input: object, effectId = `task1_${count++}`): Promise<Record<string, unknown>> => {
    const handler = handlers.find((each) => each.operation.name === name) as CommandHandler;
    const command = {
      effectId,
      signal: new AbortController().signal,
      takenOver: false,
      queuedMs: 0,
      confirmClaim: async () => {},
    };
    return handler.run({ owner, ...input }, command) as Promise<Record<string, unknown>>;
  };
}

const prepareOf = (f: Fixture) => ({ repository: f.address, baseBranch: 'main', slug: 'slug', setupKey: null });
const commitOf = (f: Fixture) => ({ repository: f.address, message: message(), protect: [] });
const removeOf = (f: Fixture) => ({ repository: f.address, keepBranch: false, date });

test('with too little free space, new work is rejected with the reason, and running tasks can end', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  write(tree, 'x.txt', 'x');
  const disk = { ...diskSettingsDefault, freeBytesMin: Number.MAX_SAFE_INTEGER };
  const context = await openContext({ dataFolder: f.dataFolder, node: 'node1', disk });
  const refused = {
    code: 'disk-full' satisfies ErrorCode,
    retryable: true,
    message: expect.stringMatching(
      `the disk of ${f.dataFolder} on node1 has .* GiB free.*delete folders in ${f.dataFolder}/rescue`,
    ) as string,
  };
  const [inspect] = endpoints(context, undefined as never, idle);
  const ask = { tenant: 'default', repository: f.address, baseBranch: 'main' };
  const answer = async () => inspect?.handler(ask, { tenant: null, subject: '' }, undefined as never);
  await expect(answer()).rejects.toMatchObject(refused);
  const waiting = servedBy(context);
  await expect(waiting('prepare', prepareOf(f))).rejects.toBeInstanceOf(NotNow);
  const overdue = servedBy(context, new FullDiskWaits(0));
  for (const name of ['prepare', 'resolve-setup', 'prepare-setup'])
    await expect(overdue(name, { ...prepareOf(f), inputs: [] })).rejects.toMatchObject(refused);
  expect(await overdue('checkpoint', { date })).toEqual({ commit: null });
  expect(await overdue('commit', commitOf(f))).toMatchObject({ status: 'committed' });
  expect(await overdue('remove', removeOf(f))).toMatchObject({
    rescue: expect.stringContaining('refs/coppice/rescue'),
  });
});

/** Creates a data folder of a service on its own small disk. */
async function onSmallDisk(context: TestContext, megabytes: number, disk = diskSettingsDefault, inodes?: number) {
  context.skip(process.getuid?.() !== 0 || process.platform !== 'linux', 'only root of a Linux can mount a small disk');
  const folder = await temporaryFolder('disk');
  const options = `size=${megabytes}m,mode=711${inodes === undefined ? '' : `,nr_inodes=${inodes}`}`;
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'coppice-test', folder.path]);
  const filler = join(folder.path, 'filler');
  return {
    small: await openContext({ dataFolder: join(folder.path, 'data'), node: 'node1', disk }),
    /** Fills the disk except for `leave` bytes, a multiple of the page size. */
    fill: (leave = 0) => {
      execFileSync('sh', ['-c', `cat /dev/zero > ${filler} 2>/dev/null || true`]);
      truncateSync(filler, statSync(filler).size - leave);
    },
    free: () => rmSync(filler),
    path: folder.path,
    async [Symbol.asyncDispose]() {
      execFileSync('umount', [folder.path]);
      await folder.remove();
    },
  };
}

const steps = ['prepare', 'checkpoint', 'commit', 'prepare-merge', 'land', 'remove'];
const anyOf = (outcomes: string) => expect.stringMatching(`^(${outcomes})$`) as string;

test.for([
  { leave: 0, expected: steps.map((step) => [step, step === 'remove' ? 'done' : 'postponed']) },
  { leave: 8_192, expected: steps.map((step) => [step, anyOf('done|postponed')]) },
  { leave: 65_536, expected: steps.map((step) => [step, anyOf('done|postponed')]) },
])(
  'on a disk with only $leave bytes left, commands are postponed and damage nothing',
  async ({ leave, expected }, testContext) => {
    await using f = await fixture();
    // Without a minimum of free space, every command starts and then fails on the full disk.
    await using disk = await onSmallDisk(testContext, 12, { ...diskSettingsDefault, freeBytesMin: 0 });
    const { small } = disk;
    const order = servedBy(small);
    const outcomes: [name: string, outcome: unknown][] = [];
    /** Runs a command on a full disk and then, like a redelivery by the bus, with free space. */
    const throughFullDisk = async (name: string, input: object, effectId: string) => {
      disk.fill(leave);
      const error = await order(name, input, effectId).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      outcomes.push([name, error === null ? 'done' : error instanceof NotNow ? 'postponed' : error]);
      disk.free();
      return order(name, input, effectId);
    };
    const prepared = await throughFullDisk('prepare', prepareOf(f), 'task1_1');
    const [workspace] = prepared['mounts'] as { source: string }[];
    const tree = workspace?.source ?? '';
    write(tree, 'large.txt', Buffer.alloc(300_000, 'some text that can be compressed, but not to nothing\n'));
    for (let count = 0; count < 40; count++) write(tree, `files/${count}.txt`, `${count}\n`.repeat(500));
    await throughFullDisk('checkpoint', { date }, 'task1_2');
    const committed = await throughFullDisk('commit', commitOf(f), 'task1_3');
    expect(committed).toMatchObject({ status: 'committed', filesChanged: 41 });
    const merge = {
      repository: f.address,
      targetBranch: 'main',
      taskCommit: committed['commit'],
      method: 'merge',
      message: message(),
      protect: [],
      checkout: { when: 'always' },
      setup: null,
    };
    const merged = await throughFullDisk('prepare-merge', merge, 'task1_4');
    const [checkout] = (merged['checkout'] as { mounts: { source: string }[] }).mounts;
    expect(readdirSync(join(checkout?.source ?? '', 'files')).length).toBe(40);
    const landing = {
      repository: f.address,
      targetBranch: 'main',
      expectedTip: merged['tip'],
      commit: merged['commit'],
    };
    expect(await throughFullDisk('land', landing, 'task1_5')).toEqual({ status: 'landed', commit: merged['commit'] });
    expect(await throughFullDisk('remove', removeOf(f), 'task1_6')).toEqual({ rescue: null });
    expect(outcomes).toEqual(expected);
    await small.trash.settle();
    for (const folder of ['worktrees', 'checkouts', 'rescue', 'trash', 'locks'])
      expect([folder, readdirSync(join(small.layout.root, folder))]).toEqual([folder, []]);
    const [repository = ''] = readdirSync(small.layout.repositories);
    const tasksGit = join(small.layout.repositories, repository, 'tasks.git');
    expect(execFileSync('git', ['-C', tasksGit, 'fsck', '--no-dangling'], { encoding: 'utf8', stdio: 'pipe' })).toBe(
      '',
    );
    expect(execFileSync('find', [tasksGit, '-name', '*.lock'], { encoding: 'utf8' })).toBe('');
    expect(existsSync(join(f.repository.path, 'files/39.txt'))).toBe(true);
  },
);

test('if the disk stays full, a command fails with that reason; other errors are reported unchanged', async (testContext) => {
  await using f = await fixture();
  await using disk = await onSmallDisk(testContext, 12);
  const order = servedBy(disk.small, new FullDiskWaits(0));
  const prepared = await order('prepare', prepareOf(f));
  const [workspace] = prepared['mounts'] as { source: string }[];
  const tree = workspace?.source ?? '';
  write(tree, 'x.txt', Buffer.alloc(100_000, 'x'));
  disk.fill();
  await expect(order('commit', commitOf(f))).rejects.toMatchObject({
    code: 'disk-full',
    retryable: true,
    message: expect.stringMatching('has 0 MiB free, and 1 MiB are kept free') as string,
  });
  disk.free();
  const [repository = ''] = readdirSync(disk.small.layout.repositories);
  const head = join(disk.small.layout.repositories, repository, 'tasks.git/HEAD');
  writeFileSync(head, 'not a ref');
  await expect(order('commit', commitOf(f))).rejects.toMatchObject({ code: 'git-failed' });
});

test('with too few free inodes new work is refused, and the reason names inodes', async (testContext) => {
  await using f = await fixture();
  await using disk = await onSmallDisk(testContext, 12, diskSettingsDefault, 1000);
  for (let count = 0; statfsSync(disk.path).ffree >= 10; count++) write(disk.path, `many/${count}`, '');
  const [inspect] = endpoints(disk.small, undefined as never, idle);
  const ask = { tenant: 'default', repository: f.address, baseBranch: 'main' };
  await expect(async () =>
    inspect?.handler(ask, { tenant: null, subject: '' }, undefined as never),
  ).rejects.toMatchObject({
    code: 'disk-full',
    message: expect.stringMatching('on node1 has 9 inodes free, and 10 are kept free') as string,
    details: { inodesFree: 9, inodesFreeMin: 10 },
  });
});
