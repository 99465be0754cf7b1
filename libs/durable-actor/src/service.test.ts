import { handle, joinMembers, serveCommands } from '@coppice/bus';
import type { CommandContext, CommandServer, Membership } from '@coppice/bus';
import { CoppiceError, streams, worktreeOperations } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readActor } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';

let harness: Harness;
let member: Membership;
let service: CommandServer;
const ran: string[] = [];
const aborted: string[] = [];

async function prepare(repository: string, { effectId, signal }: CommandContext): Promise<typeof prepared> {
  ran.push(effectId);
  if (repository === '/missing') throw new CoppiceError('repository-not-found', 'there is none');
  if (repository === '/endless') {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    aborted.push(effectId);
    signal.throwIfAborted();
  }
  return prepared;
}

beforeAll(async () => {
  harness = await Harness.start();
  member = await joinMembers(harness.bus, { service: 'worktree-service', node: 'node1' });
  service = await serveCommands(harness.bus, {
    service: 'worktree-service',
    pools: ['any', 'node1'],
    concurrency: 4,
    member,
    handlers: [handle(worktreeOperations.prepare, (input, context) => prepare(input.repository, context))],
  });
  await harness.host();
});
afterAll(async () => {
  await harness.stopHosts();
  await service.stop();
  await member.leave();
  await harness.stop();
});

test('a command is handled once, and its result reaches the actor', async () => {
  await harness.create('job', 'served', {}, { type: 'start' });
  const view = await harness.reaches('job', 'served', 'asking');
  expect(view.context).toMatchObject({ path: JSON.stringify(prepared) });
  expect(ran.filter((effectId) => effectId.startsWith('job_served_'))).toHaveLength(1);
  expect(await harness.commands('served')).toEqual([]);
});

test("a service's failure reaches the machine with its code", async () => {
  await harness.create('job', 'unserved', { repository: '/missing' }, { type: 'start' });
  expect(await harness.reaches('job', 'unserved', 'failed')).toMatchObject({
    summary: { error: 'repository-not-found' },
  });
});

test('leaving the state aborts the running command; its result changes nothing', async () => {
  await harness.create('job', 'fickle', { repository: '/endless' }, { type: 'start' });
  await harness.reaches('job', 'fickle', 'preparing');
  await harness.quiet('job', 'fickle');
  const effectId = await harness.effectOf('job', 'fickle', 'prepare');
  await eventually(() => ran.includes(effectId));
  await harness.send('job', 'fickle', { type: 'stop' });
  await eventually(() => aborted.includes(effectId));
  await eventually(async () => (await harness.stored(streams.commands, 'coppice.cmd.>')).length === 0);
  await harness.quiet('job', 'fickle');
  expect(await readActor(harness.bus, 'job', 'fickle')).toMatchObject({ status: 'done', state: 'stopped' });
  expect((await harness.events('fickle')).map((event) => event.state)).toEqual(['waiting', 'preparing', 'stopped']);
});

test("a command that is cancelled before a service takes it isn't run", async () => {
  await service.stop();
  await harness.create('job', 'early', {}, { type: 'start' });
  await harness.reaches('job', 'early', 'preparing');
  await harness.quiet('job', 'early');
  const effectId = await harness.effectOf('job', 'early', 'prepare');
  await harness.send('job', 'early', { type: 'stop' });
  service = await serveCommands(harness.bus, {
    service: 'worktree-service',
    pools: ['node1'],
    concurrency: 1,
    member,
    handlers: [handle(worktreeOperations.prepare, (input, context) => prepare(input.repository, context))],
  });
  await eventually(async () => (await harness.stored(streams.commands, 'coppice.cmd.>')).length === 0);
  expect(ran).not.toContain(effectId);
});
