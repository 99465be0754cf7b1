import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep, setImmediate as nextTurn } from 'node:timers/promises';
import { Bus, inboxPrefixOf, roles } from '@coppice/bus';
import type { Role } from '@coppice/bus';
import { CoppiceError, api, buckets, chatApi, gatewayCalls, streams, subjects } from '@coppice/contracts';
import { startNatsServer, temporaryFolder } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBusUsers } from '../support/bus-users.ts';
import type { BusUsers, UserName } from '../support/bus-users.ts';

/**
 * Tests each user of the bus with each kind of subject. The expected permissions are written a second time here,
 * independent of the code.
 */
let folder: { path: string; remove(): Promise<void> };
let users: BusUsers;
let nats: NatsServer;
const connections = new Map<UserName | 'everything', Bus>();
const named = ['tenant-acme', 'tenant-other'] as const;
const allUsers: readonly UserName[] = [...roles, ...named];

beforeAll(async () => {
  folder = await temporaryFolder('permissions');
  users = await makeBusUsers({ folder: path.join(folder.path, 'users'), nodes: ['n1'], tenants: ['acme', 'other'] });
  nats = await startNatsServer({ config: users.configuration });
  const everything = await Bus.connect({ ...nats.connection, name: 'everything' });
  await everything.ensureResources();
  connections.set('everything', everything);
  for (const user of allUsers)
    connections.set(user, await Bus.connect({ servers: nats.url, ...users.credentials(user), name: user }));
}, 60_000);
afterAll(async () => {
  await Promise.all([...connections.values()].map((bus) => bus.close()));
  await nats?.stop();
  await folder?.remove();
});

function as(user: UserName | 'everything'): Bus {
  const bus = connections.get(user);
  if (bus === undefined) throw new Error(`${user} is not connected`);
  return bus;
}

test("a client that logs in slowly is not disconnected, as it would be by the server's default", async () => {
  const { hostname, port } = new URL(nats.url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  // Longer than the server's default limit of two seconds.
  await sleep(3_000);
  expect(received).toMatch(/^INFO /);
  expect(received).not.toContain('-ERR');
  expect(socket.destroyed).toBe(false);
  socket.destroy();
});

const deadlineMs = 10_000;

/** Doesn't wait for an answer, since the server sends a permission error before it answers the flush. */
async function mayPublish(user: UserName, subject: string, payload: object = {}): Promise<boolean> {
  let refused = false;
  const sent = as(user).request(subject, payload, { deadlineMs });
  sent.catch((error: unknown) => {
    refused = error instanceof CoppiceError && error.code === 'permission-denied';
  });
  await as(user).flush();
  await nextTurn();
  return !refused;
}

/** Returns true if the subscription receives a message that the administrator publishes. */
async function maySubscribe(user: UserName, subject: string): Promise<boolean> {
  const received: string[] = [];
  const subscription = as(user).subscribeCore(subject, (_data, on) => received.push(on));
  await as(user).flush();
  as('everything').publishCore(subject.replaceAll('*', 'x').replace('>', 'y'), {});
  await as('everything').flush();
  await as(user).flush();
  subscription.unsubscribe();
  return received.length > 0;
}

const workers = ['orchestrator', 'llm-gateway', 'worktree-service', 'container-service'] as const;
const services: readonly Role[] = workers;
const runId = 'raaaaaaaaaaaaaaaa';
const taskId = 'taaaaaaaaaaaaaaaa';
const readers = {
  events: ['operator', 'orchestrator'],
  transcripts: ['operator', 'orchestrator', 'llm-gateway'],
  logs: ['operator', 'orchestrator'],
} as const;

/** Subjects with the users that may publish on each. The administrator may publish on all. */
const publishing: readonly [subject: string, ...may: UserName[]][] = [
  // Only users may call the public API.
  ...[...Object.values(api), ...Object.values(chatApi)].flatMap(({ name }): [string, ...UserName[]][] => [
    [subjects.api('acme', name), 'operator', 'tenant-acme'],
    [subjects.api('other', name), 'operator', 'tenant-other'],
  ]),
  [subjects.api('acme', 'llm.other'), 'operator'],
  [subjects.api('acme', 'other.get'), 'operator'],
  [subjects.intake('acme'), 'operator', 'tenant-acme'],
  [subjects.intake('other'), 'operator', 'tenant-other'],
  [subjects.intakeLater('acme', 'x'), 'orchestrator'],
  [subjects.intakeAgain('acme')],
  [subjects.call('orchestrator', 'task-status'), 'container-service', 'llm-gateway', 'operator'],
  [subjects.call('orchestrator', 'run-status'), 'llm-gateway', 'operator'],
  [subjects.call('worktree-service', 'inspect'), 'orchestrator', 'operator'],
  [subjects.callOnNode('worktree-service', 'diff', 'n1'), 'orchestrator', 'operator'],
  [subjects.callOnNode('worktree-service', 'bundle', 'n1'), 'orchestrator', 'operator'],
  [subjects.call('llm-gateway', 'providers'), 'orchestrator', 'operator'],
  [subjects.actor('task', `acme.${taskId}`), ...services],
  [subjects.timer('task', `acme.${taskId}`, 'e'), 'orchestrator'],
  [subjects.stash('task', `acme.${taskId}`), 'orchestrator'],
  ...workers.flatMap((name): [string, ...UserName[]][] => [
    [subjects.command(name, 'any', 'x'), 'orchestrator'],
    [subjects.commandLater(name, 'x'), name],
  ]),
  ['coppice.cancel.x', 'orchestrator'],
  [subjects.gatewayHealth, 'llm-gateway'],
  [subjects.event('acme', runId, taskId, 'task-state'), 'orchestrator'],
  [subjects.transcript('acme', taskId), 'llm-gateway'],
  [subjects.log('acme', taskId), 'container-service'],
  ...workers.map((name): [string, ...UserName[]] => [
    subjects.deadLetter(name),
    ...new Set(['orchestrator', name] as const),
  ]),
  [`$KV.${buckets.actors}.task.acme.${taskId}`, 'orchestrator'],
  [`$KV.${buckets.effects}.x`, ...services],
  [`$KV.${buckets.members}.x`, ...services],
  [`$KV.${buckets.budgets}.tenant.acme`, 'llm-gateway'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.budgets}`, 'llm-gateway'],
  [`$KV.${buckets.gatewayKeys}.x`, 'llm-gateway'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.gatewayKeys}`, 'llm-gateway'],
  [`$KV.${buckets.llmCache}.acme.x`, 'llm-gateway'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.llmCache}`, 'llm-gateway'],
  [`$KV.${buckets.llmItems}.acme.x`, 'llm-gateway'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.llmItems}`, 'llm-gateway'],
  [`$JS.API.STREAM.CREATE.KV_${buckets.llmItems}`, 'orchestrator'],
  [subjects.call('llm-gateway', gatewayCalls.mintToken.name), 'orchestrator', 'operator'],
  [subjects.gatewayBudgetWanted, 'llm-gateway'],
  [`$O.${buckets.artifacts}.M.x`, ...services.filter((name) => name !== 'worktree-service')],
  [`$O.${buckets.bundles}.C.x`, 'worktree-service'],
  [`$O.${buckets.bundles}.M.x`, 'worktree-service'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.actors}`, 'orchestrator'],
  [`$JS.API.STREAM.MSG.GET.KV_${buckets.effects}`, ...services],
  [`$JS.API.STREAM.MSG.GET.OBJ_${buckets.artifacts}`, ...services.filter((name) => name !== 'worktree-service')],
  [`$JS.API.STREAM.MSG.GET.OBJ_${buckets.bundles}`, 'orchestrator', 'worktree-service'],
  [`$JS.API.CONSUMER.CREATE.OBJ_${buckets.bundles}.x.$O.${buckets.bundles}.C.*`, 'orchestrator'],
  [
    `$JS.API.CONSUMER.CREATE.OBJ_${buckets.artifacts}.x.$O.${buckets.artifacts}.C.*`,
    ...services.filter((name) => name !== 'worktree-service'),
  ],
  [`$JS.API.STREAM.MSG.GET.${streams.actors}`, 'orchestrator'],
  [`$JS.API.STREAM.MSG.GET.${streams.events}`],
  [`$JS.API.STREAM.MSG.GET.${streams.transcripts}`],
  [`$JS.API.DIRECT.GET.OBJ_${buckets.artifacts}`],
  [`$JS.API.DIRECT.GET.KV_${buckets.actors}.$KV.${buckets.actors}.task.acme.${taskId}`],
  [`$JS.API.DIRECT.GET.${streams.events}`],
  ['$JS.API.STREAM.NAMES'],
  ['$JS.API.STREAM.LIST'],
  [`$JS.API.CONSUMER.NAMES.${streams.events}`],
  [`$JS.API.STREAM.SNAPSHOT.${streams.events}`],
  [`$JS.API.STREAM.INFO.${streams.events}`, ...services, 'operator'],
  [`$JS.API.STREAM.CREATE.${streams.events}`, 'orchestrator'],
  [`$JS.API.STREAM.UPDATE.${streams.events}`, 'orchestrator'],
  [`$JS.API.STREAM.DELETE.${streams.events}`],
  [`$JS.API.STREAM.PURGE.${streams.events}`],
  [`$JS.API.STREAM.PURGE.OBJ_${buckets.artifacts}`],
  [`$JS.API.STREAM.PURGE.OBJ_${buckets.bundles}`],
  [`$JS.API.DIRECT.GET.OBJ_${buckets.bundles}`],
  [`$JS.API.STREAM.PURGE.${streams.actors}`, 'orchestrator'],
  [`$JS.API.STREAM.MSG.DELETE.${streams.events}`],
  [`$JS.API.STREAM.MSG.DELETE.${streams.intake}`, 'orchestrator'],
  [`$JS.API.CONSUMER.CREATE.${streams.events}`],
  [`$JS.API.CONSUMER.CREATE.${streams.events}.x`],
  [`$JS.API.CONSUMER.CREATE.${streams.events}.x.coppice.event.>`, 'operator'],
  [`coppice.consumer.acme.${streams.events}.x.coppice.event.acme.>`],
  [`$JS.API.CONSUMER.CREATE.${streams.events}.x.coppice.event.acme.${runId}.>`, ...readers.events, 'tenant-acme'],
  [`$JS.API.CONSUMER.CREATE.${streams.events}.x.coppice.event.other.>`, ...readers.events, 'tenant-other'],
  [`$JS.API.CONSUMER.CREATE.${streams.transcripts}.x.coppice.transcript.acme.>`, ...readers.transcripts, 'tenant-acme'],
  [`$JS.API.CONSUMER.CREATE.${streams.logs}.x.coppice.log.acme.>`, ...readers.logs, 'tenant-acme'],
  [`$JS.API.CONSUMER.CREATE.${streams.deadLetters}.x.coppice.deadletter.>`, 'operator'],
  [`$JS.API.CONSUMER.DURABLE.CREATE.${streams.events}.x`],
  ...workers.flatMap((name): [string, ...UserName[]][] => [
    [`$JS.API.CONSUMER.CREATE.${streams.commands}.${name}-any.coppice.cmd.${name}.any.*`, name],
    [`$JS.API.CONSUMER.CREATE.${streams.commands}.${name}-any.coppice.cmd.>`],
    [`$JS.API.CONSUMER.MSG.NEXT.${streams.commands}.${name}-any`, name],
    [`$JS.ACK.${streams.commands}.${name}-any.1.1.1.1.0`, name],
  ]),
  [`$JS.API.CONSUMER.MSG.NEXT.${streams.commands}.container-service-n1`, 'container-service', 'orchestrator'],
  [`$JS.API.CONSUMER.MSG.NEXT.${streams.commands}.container-service-n1_landing`, 'container-service', 'orchestrator'],
  [`$JS.API.CONSUMER.MSG.NEXT.${streams.commands}.container-service-n2`],
  [`$JS.API.CONSUMER.MSG.NEXT.${streams.actors}.actor-task`, 'orchestrator'],
  [`$JS.API.CONSUMER.MSG.NEXT.${streams.intake}.orchestrator-intake`, 'orchestrator'],
  ['$SRV.PING', 'operator'],
  ...roles.map((role): [string, ...UserName[]] => [
    `${inboxPrefixOf(role)}.x`,
    ...(role === 'orchestrator' ? (['orchestrator'] as const) : []),
    ...(role === 'operator' ? (['llm-gateway'] as const) : []),
  ]),
  // Reply subjects of other accounts. Only the receiver of a request knows them.
  ['_R_.x.y', 'llm-gateway'],
  ['$SYS.REQ.SERVER.PING'],
];

const subscribing: readonly [subject: string, ...may: UserName[]][] = [
  ...roles.map((role): [string, ...UserName[]] => [`${inboxPrefixOf(role)}.x`, role]),
  ['_INBOX.x'],
  ['_INBOX.>'],
  ['_R_.x.y'],
  ['>'],
  ['coppice.>'],
  [subjects.apiOfAnyTenant(api.runSubmit.name), 'orchestrator'],
  [subjects.api('acme', api.runSubmit.name), 'orchestrator'],
  ...Object.values(chatApi).map(({ name }): [string, ...UserName[]] => [subjects.apiOfAnyTenant(name), 'llm-gateway']),
  [subjects.call('orchestrator', 'task-status'), 'orchestrator'],
  [subjects.call('orchestrator', 'run-status'), 'orchestrator'],
  [subjects.call('worktree-service', 'inspect'), 'worktree-service'],
  [subjects.callOnNode('worktree-service', 'diff', 'n1'), 'worktree-service'],
  [subjects.callOnNode('worktree-service', 'bundle', 'n1'), 'worktree-service'],
  [subjects.callOnNode('worktree-service', 'diff', 'n2')],
  [subjects.call('llm-gateway', 'providers'), 'llm-gateway'],
  ['coppice.cancel.*', ...services],
  [subjects.gatewayHealth, 'llm-gateway'],
  ['coppice.consumer.>', 'orchestrator'],
  [subjects.intake('acme')],
  [subjects.actor('task', '>')],
  [subjects.command('llm-gateway', 'any', '*')],
  ['coppice.event.acme.>', 'operator', 'tenant-acme'],
  ['coppice.event.>', 'operator'],
  ['coppice.transcript.other.>', 'operator', 'tenant-other'],
  ['coppice.log.acme.>', 'operator', 'tenant-acme'],
  [`$KV.${buckets.actors}.>`],
  [`$O.${buckets.artifacts}.>`],
  ['$SRV.PING', 'orchestrator', 'llm-gateway', 'worktree-service'],
  ['$SRV.PING.orchestrator', 'orchestrator'],
  ['$JS.EVENT.ADVISORY.>'],
  [subjects.gatewayBudgetWanted, 'llm-gateway'],
];

const othersThan = (may: readonly UserName[]): UserName[] => allUsers.filter((user) => !may.includes(user));

describe('publishing', () => {
  test.each(publishing)('%s', async (subject, ...may) => {
    const allowed = await Promise.all(allUsers.map(async (user) => ((await mayPublish(user, subject)) ? user : null)));
    expect(allowed.filter((user) => user !== null).toSorted()).toEqual(
      [...new Set([...may, 'administrator'])].toSorted(),
    );
    expect(othersThan(may).length).toBeGreaterThan(0);
  });
});

test('the orchestrator reads bundles of worktree-service, and a bundle of which a part was deleted can be stored again', async () => {
  const content = randomBytes(300_000);
  const stored = await as('worktree-service').objects(buckets.bundles);
  const read = await as('orchestrator').objects(buckets.bundles);
  await stored.put('bundle', content);
  const purge = `$JS.API.STREAM.PURGE.OBJ_${buckets.bundles}`;
  await as('everything').request(purge, { keep: 1 }, { deadlineMs });
  await expect(read.get('bundle')).rejects.toMatchObject({ code: 'not-found' });
  await stored.put('bundle', content);
  expect(content.equals((await read.get('bundle')) as Uint8Array)).toBe(true);
});

describe('subscribing', () => {
  test.each(subscribing)('%s', async (subject, ...may) => {
    const allowed: UserName[] = [];
    for (const user of allUsers) if (await maySubscribe(user, subject)) allowed.push(user);
    expect(allowed.toSorted()).toEqual([...new Set([...may, 'administrator'])].toSorted());
  });
});
