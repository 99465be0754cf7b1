import { execFileSync } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { streams, subjects, worktreeCalls, type ActorMessage } from '@coppice/contracts';
import { startService, type StartedService } from '@coppice/service';
import { startNatsServer, startProcess, type NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWorktreeService } from './index.ts';
import { date, fixture, message, write, type Fixture } from './test-support/fixture.ts';

const owner = { tenant: 'default', runId: 'run1', taskId: 'task1' };
let server: NatsServer;
let service: StartedService;
let f: Fixture;
let counter = 0;

beforeAll(async () => {
  f = await fixture();
  server = await startNatsServer({ auth: true });
  service = await startService({
    name: 'worktree-service',
    version: '0.0.0',
    node: 'node1',
    connection: server.connection,
    makesResources: true,
    start: (context) => startWorktreeService(context, { dataFolder: f.dataFolder }),
  });
});
afterAll(async () => {
  await service.stop();
  await server.stop();
  await f[Symbol.asyncDispose]();
});

/** Sends a command like an actor and waits for its result in the inbox. */
async function order(
  pool: string,
  operation: string,
  input: object,
  bus = service.bus,
): Promise<Record<string, unknown>> {
  const effectId = `test_actor_0_${counter++}`;
  const replyTo = { kind: 'test', id: `actor${counter}` };
  await bus.publish(subjects.command('worktree-service', pool, operation), {
    effectId,
    replyTo,
    input: { owner, ...input },
    issuedAt: new Date().toISOString(),
  });
  const found: ActorMessage[] = [];
  await expect
    .poll(
      async () => {
        for await (const each of bus.browse(streams.actors, subjects.actor(replyTo.kind, replyTo.id)))
          found.push(each.json() as ActorMessage);
        return found.length;
      },
      { timeout: 15_000 },
    )
    .toBeGreaterThan(0);
  const [first] = found;
  if (first?.type !== 'result') throw new Error('not a result');
  if (first.outcome.status === 'failed') return { error: first.outcome.error };
  return first.outcome.output as Record<string, unknown>;
}

test('a repository in the data folder of another service is rejected, since agents may write there', async () => {
  const home = join(f.dataFolder, 'container-service/sandboxes/task1-verify-1/home');
  await mkdir(home, { recursive: true });
  const planted = join(home, 'repository');
  const innocent = join(f.dataFolder, '../innocent');
  for (const folder of [planted, innocent])
    execFileSync('git', ['clone', '-q', '--no-hardlinks', f.repository.path, folder]);
  await symlink(planted, join(f.dataFolder, '../link'));
  const ask = (repository: string) =>
    service.bus.call(
      worktreeCalls.inspect,
      { service: 'worktree-service' },
      { repository: resolve(repository), baseBranch: 'main' },
    );
  for (const repository of [planted, join(f.dataFolder, '../link')])
    await expect(ask(repository)).rejects.toMatchObject({
      code: 'repository-not-found',
      message: expect.stringContaining("it lies in Coppice's own data folder") as string,
    });
  expect(await ask(innocent)).toMatchObject({ repository: resolve(innocent) });
});

test('a task can be prepared, committed and landed by commands', async () => {
  const repository = f.repository.path;
  const { inspect } = worktreeCalls;
  const target = { service: 'worktree-service' };
  expect(await service.bus.call(inspect, target, { repository, baseBranch: 'main' })).toMatchObject({
    repository,
    baseCommit: await f.repository.head(),
  });
  await expect(service.bus.call(inspect, target, { repository, baseBranch: 'nope' })).rejects.toMatchObject({
    code: 'branch-not-found',
  });

  const prepared = await order('any', 'prepare', { repository, baseBranch: 'main', slug: 'it', setupKey: null });
  expect(prepared).toMatchObject({ node: 'node1', branch: 'coppice/task1/it' });
  const [workspace] = prepared['mounts'] as { source: string }[];
  write(workspace?.source ?? '', 'new.txt', 'new');
  expect(await order('node1', 'checkpoint', { date })).toMatchObject({
    commit: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  const committed = await order('node1', 'commit', { repository, message: message(), protect: ['*.txt'] });
  expect(committed).toMatchObject({ status: 'committed', protectedPaths: ['new.txt'], additions: 1 });
  const merged = await order('node1', 'prepare-merge', {
    repository,
    targetBranch: 'main',
    taskCommit: committed['commit'],
    method: 'merge',
    message: message(),
    checkout: { when: 'always' },
    setup: null,
  });
  expect(merged).toMatchObject({ status: 'merged-in-store', checkout: { setupIsCurrent: true } });
  const landing = { repository, targetBranch: 'main', expectedTip: merged['tip'], commit: merged['commit'] };
  expect(await order('node1', 'land', landing)).toEqual({ status: 'landed', commit: merged['commit'] });
  expect(await f.repository.show('new.txt')).toBe('new');
  expect(await order('node1', 'remove', { repository, keepBranch: false, date })).toEqual({ rescue: null });
});

test('a failure is reported with its code and field', async () => {
  const failed = await order('any', 'prepare', {
    repository: '/nonexistent',
    baseBranch: 'main',
    slug: 'it',
    setupKey: null,
  });
  expect(failed).toMatchObject({
    error: { code: 'repository-not-found', retryable: false, details: { issues: [{ field: 'repository' }] } },
  });
});

test('the process starts, serves and stops in order', async () => {
  await using child = startProcess(join(import.meta.dirname, 'main.ts'), [], {
    ...server.environment,
    COPPICE_NODE: 'node2',
    COPPICE_LOG_LEVEL: 'info',
    COPPICE_DATA: join(f.dataFolder, '../other'),
  });
  await child.waitForLine('started');
  expect(
    await order('node2', 'resolve-setup', { repository: f.repository.path, baseBranch: 'main', inputs: [] }),
  ).toMatchObject({ baseCommit: await f.repository.head() });
  expect(await child.kill('SIGTERM')).toMatchObject({ code: 0 });
});
