import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { manualClock, startNatsServer, temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { remove } from '../worktree/remove.ts';
import { date, fixture, runId, taskId, write } from '../test-support/fixture.ts';
import type { Fixture } from '../test-support/fixture.ts';
import { bundle } from './bundle.ts';

const hourMs = 3_600_000;
const tenant = 'acme';
let server: NatsServer;
let bus: Bus;
const clock = manualClock(new Date('2026-02-03T04:00:00Z'));
beforeAll(async () => {
  server = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...server.connection, name: 'test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

const bundleOf = (f: Fixture, branch: string | null, rest: { isOver?: boolean; whole?: boolean; baseCommit: string }) =>
  bundle(
    f.context,
    bus,
    { tenant, taskId, repository: f.address, branch, isOver: false, whole: false, ...rest },
    undefined,
    clock,
  );

/** Fetches a ref from the stored bundle into a repository. */
async function fetched(into: { git(...words: string[]): Promise<string> }, name: string, ref: string): Promise<void> {
  await using folder = await temporaryFolder('bundle');
  const file = join(folder.path, 'work.bundle');
  writeFileSync(file, (await (await bus.objects(buckets.bundles)).get(name)) ?? '');
  await into.git('fetch', '--quiet', file, `${ref}:refs/heads/fetched`);
}

test('the same work is one object for an hour, apart from permanent artifacts; with `whole`, any repository can fetch it', async () => {
  await using f = await fixture({ files: { 'a.txt': 'a\n' } });
  const baseCommit = await f.repository.head();
  await expect(bundleOf(f, null, { baseCommit })).rejects.toMatchObject({ code: 'not-found' });
  const { tree, branch } = await f.prepared();
  write(tree, 'new.txt', 'new\n');
  await expect(bundleOf(f, null, { baseCommit })).rejects.toMatchObject({ code: 'not-found' });
  const committed = await f.committed();
  const made = await bundleOf(f, branch, { baseCommit });
  expect(made).toMatchObject({ ref: `refs/heads/${branch}`, work: 'branch' });
  expect(committed).toMatchObject({ commit: made.commit });
  clock.advance(hourMs - 1);
  expect(await bundleOf(f, branch, { baseCommit })).toEqual(made);
  clock.advance(1);
  const anew = await bundleOf(f, branch, { baseCommit });
  expect(anew).toEqual({ ...made, bundle: expect.not.stringMatching(`^${made.bundle}$`) });
  expect(await (await bus.objects(buckets.artifacts)).find(made.bundle)).toBeNull();
  await fetched(f.repository, made.bundle, made.ref);
  expect(await f.repository.head('fetched')).toBe(made.commit);

  await using other = await temporaryRepository();
  await expect(fetched(other, made.bundle, made.ref)).rejects.toThrow(/lacks these prerequisite commits/);
  const whole = await bundleOf(f, branch, { baseCommit, whole: true });
  await fetched(other, whole.bundle, whole.ref);
  expect(await other.show('a.txt', 'fetched')).toBe('a\n');
});

test('the rescued work of an ended task is preferred', async () => {
  await using f = await fixture();
  const baseCommit = await f.repository.head();
  const { tree, branch } = await f.prepared();
  write(tree, 'new.txt', 'new\n');
  await f.committed();
  write(tree, 'later.txt', 'later\n');
  const { rescue } = await remove(f.context, {
    taskId,
    runId,
    effectId: 'r',
    repository: f.address,
    keepBranch: false,
    date,
  });
  const made = await bundleOf(f, branch, { baseCommit, isOver: true });
  expect(made).toMatchObject({ work: 'rescued', ref: rescue?.split(' ').at(-1) });
  await fetched(f.repository, made.bundle, made.ref);
  expect(await f.repository.show('later.txt', 'fetched')).toBe('later\n');
});

test('work too large for a bundle is rejected, with the ref that keeps it', async () => {
  await using f = await fixture();
  const baseCommit = await f.repository.head();
  const { tree, branch } = await f.prepared();
  write(tree, 'large.bin', randomBytes(33 * 1024 * 1024));
  await f.committed();
  await expect(bundleOf(f, branch, { baseCommit })).rejects.toMatchObject({
    code: 'limit-exceeded',
    message: expect.stringMatching(
      /more than 33554432 bytes; it is refs\/heads\/\S+ of \/\S+\/tasks\.git on node node1$/,
    ),
  });
});
