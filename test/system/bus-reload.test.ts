/** Tests that tenants can be added and removed with SIGHUP while the server runs. All other clients stay connected. */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Bus, apiEndpoint, streamedApiEndpoint } from '@coppice/bus';
import { api, chatApi, chatMessageSchema, chatServiceName, streams, subjects } from '@coppice/contracts';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeBusUsers } from '../support/bus-users.ts';
import type { BusUsers, UserName } from '../support/bus-users.ts';

const program = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');
const runId = 'raaaaaaaaaaaaaaaa';
let folder: { path: string; remove(): Promise<void> };
let nats: NatsServer;
let users: BusUsers;
let orchestrator: Bus;
const connections: Bus[] = [];

beforeAll(async () => {
  folder = await temporaryFolder('reload');
  users = await makeUsers('acme', 'leaving');
  nats = await startNatsServer({ config: configuration() });
  orchestrator = await connect('orchestrator');
  await orchestrator.ensureResources();
  await orchestrator.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'answers',
    endpoints: [apiEndpoint(api.runCancel, async (_input, { tenant }) => ({ runId: `${tenant}-${runId}` }))],
  });
  await orchestrator.serveTenantConsumers();
}, 60_000);
afterAll(async () => {
  await Promise.all(connections.map((bus) => bus.close()));
  await nats?.stop();
  await folder?.remove();
});

const usersFolder = () => path.join(folder.path, 'users');
const makeUsers = (...tenants: string[]) => makeBusUsers({ folder: usersFolder(), nodes: ['n1'], tenants });
const configuration = () => readFileSync(path.join(usersFolder(), 'accounts.conf'), 'utf8');

async function connect(user: UserName, credentials = users.credentials(user)): Promise<Bus> {
  const bus = await Bus.connect({ servers: nats.url, ...credentials, name: user });
  connections.push(bus);
  return bus;
}

/** A client gets another number when it reconnects. */
async function connected(): Promise<string[]> {
  const answer = (await (await fetch(`${nats.monitoringUrl}/connz`)).json()) as {
    connections: { name: string; cid: number }[];
  };
  return answer.connections.map(({ name, cid }) => `${name} ${cid}`).toSorted();
}

const cancel = (bus: Bus, tenant: string) => bus.call(api.runCancel, { tenant }, { runId }, { deadlineMs: 5_000 });
const events = (bus: Bus, tenant: string) =>
  Array.fromAsync(bus.read(streams.events, `coppice.event.${tenant}.>`), (message) => message.json());

test('after two reloads a new tenant has all its permissions, and no client was disconnected', async () => {
  const acme = await connect('tenant-acme');
  const heard: unknown[] = [];
  const ending = new AbortController();
  const reading = (async () => {
    const options = { live: true, signal: ending.signal };
    for await (const message of acme.read(streams.events, 'coppice.event.acme.>', options)) heard.push(message.json());
  })();
  await orchestrator.publish(subjects.event('acme', runId, 'run', 'run-ended'), { number: 1 });
  await eventually(() => heard.length === 1);
  const before = await connected();

  await makeUsers('late');
  await nats.reload(configuration());
  await nats.reload(configuration());
  expect(await connected()).toEqual(before);

  const late = await connect('tenant-late');
  expect(await cancel(late, 'late')).toEqual({ runId: `late-${runId}` });
  expect(await late.publish(subjects.intake('late'), {})).toMatchObject({ duplicate: false });
  await orchestrator.publish(subjects.event('late', runId, 'run', 'run-ended'), { late: true });
  expect(await events(late, 'late')).toEqual([{ late: true }]);
  await expect(cancel(late, 'acme')).rejects.toMatchObject({ code: 'permission-denied' });
  await expect(events(late, 'acme')).rejects.toMatchObject({ code: 'permission-denied' });

  expect(await cancel(acme, 'acme')).toEqual({ runId: `acme-${runId}` });
  await orchestrator.publish(subjects.event('acme', runId, 'run', 'run-ended'), { number: 2 });
  await eventually(() => heard.length === 2);
  ending.abort();
  await reading;
});

const closing = (bus: Bus) => ({ bus, [Symbol.asyncDispose]: () => bus.close() });

/**
 * Converts a configuration to that of an earlier version. That version had one import for the tenant's whole API and
 * one message per answer, and the server created consumers.
 */
const asBefore = (text: string): string =>
  text
    .replaceAll(/"coppice\.consumer\.acme\.(coppice-\w+)\./g, '"$JS.API.CONSUMER.CREATE.$1.')
    .replaceAll('coppice.api.acme.run.*', 'coppice.api.acme.>')
    .split('\n')
    .filter((line) => !/^ *\{ service: .*coppice\.api\.acme\.[a-z]/.test(line))
    .join('\n')
    .replaceAll(/, "coppice\.api\.acme\.[a-z][^"]*"/g, '');

test('after a reload, a tenant with an account of an earlier version receives answers of several messages', async () => {
  await using earlier = await startNatsServer({ config: asBefore(configuration()) });
  const connectTo = (user: UserName) => Bus.connect({ servers: earlier.url, ...users.credentials(user), name: user });
  await using administrator = closing(await connectTo('administrator'));
  await using gateway = closing(await connectTo('llm-gateway'));
  await using acme = closing(await connectTo('tenant-acme'));
  await administrator.bus.ensureResources();
  const service = await gateway.bus.serve({
    name: chatServiceName,
    version: '0.0.0',
    description: 'answers',
    endpoints: [
      streamedApiEndpoint(chatApi.chat, async (_input, { answer }) => {
        for (let sequence = 0; sequence < 3; sequence++) answer.send({ sequence, type: 'waiting' });
        return undefined;
      }),
    ],
  });
  const hear = async () => {
    const heard: number[] = [];
    const answers = acme.bus.callStreamed({
      method: chatApi.chat,
      target: { tenant: 'acme' },
      input: { model: 'a/b', messages: [{ role: 'user', content: [] }] },
      message: chatMessageSchema,
      silenceMsMax: 3_000,
    });
    const hearing = async () => {
      for await (const { sequence } of answers) heard.push(sequence);
    };
    await expect(hearing()).rejects.toMatchObject({ code: 'unavailable' });
    return heard;
  };
  expect(await hear()).toEqual([0]);
  await earlier.reload(configuration());
  expect(await hear()).toEqual([0, 1, 2]);
  await service.stop();
});

test('after a reload, a tenant with an account of an earlier version gets consumers only from the orchestrator', async () => {
  await using earlier = await startNatsServer({ config: asBefore(configuration()) });
  const connectTo = (user: UserName) => Bus.connect({ servers: earlier.url, ...users.credentials(user), name: user });
  await using orchestrating = closing(await connectTo('orchestrator'));
  await using acme = closing(await connectTo('tenant-acme'));
  await orchestrating.bus.ensureResources();
  const consumers = await orchestrating.bus.serveTenantConsumers();
  const filter = 'coppice.event.acme.>';
  const ask = async (name: string) => {
    const config = { name, filter_subject: filter, ack_policy: 'none', deliver_subject: 'anywhere' };
    const subject = `$JS.API.CONSUMER.CREATE.${streams.events}.${name}.${filter}`;
    const { data } = await acme.bus.request(subject, { stream_name: streams.events, config }, { deadlineMs: 5_000 });
    return new TextDecoder().decode(data);
  };
  expect(await ask('before')).toContain('"name":"before"');
  await earlier.reload(configuration());
  expect(await ask('after')).toContain('config.deliver_subject: expected');
  await consumers.stop();
});

test('the next reload disconnects all clients of a tenant whose files were deleted', async () => {
  const credentials = users.credentials('tenant-leaving');
  const [one, two] = [await connect('tenant-leaving'), await connect('tenant-leaving')];
  const acme = await connect('tenant-acme');
  expect(await cancel(one, 'leaving')).toEqual({ runId: `leaving-${runId}` });
  const others = (await connected()).filter((name) => !name.startsWith('tenant-leaving '));

  for (const suffix of ['json', 'nk']) rmSync(path.join(usersFolder(), `tenant-leaving.${suffix}`));
  await makeUsers();
  await nats.reload(configuration());

  for (const bus of [one, two]) expect(String(await bus.closed)).toContain('Authorization Violation');
  await expect(cancel(one, 'leaving')).rejects.toMatchObject({ code: 'unavailable' });
  await expect(connect('tenant-leaving', credentials)).rejects.toMatchObject({ code: 'permission-denied' });
  expect(await connected()).toEqual(others);
  expect(await cancel(acme, 'acme')).toEqual({ runId: `acme-${runId}` });
});

test('an added or removed node takes effect after one reload, also for a service that stays connected', async () => {
  const service = await connect('worktree-service');
  const before = await connected();
  const consumer = '$JS.API.CONSUMER.INFO.coppice-commands.worktree-service-n2';
  const ask = () => service.request(consumer, {}, { deadlineMs: 5_000 });
  const change = async (...typed: string[]) => {
    await promisify(execFile)(process.execPath, [program, 'bus-users', '--folder', usersFolder(), ...typed]);
    await nats.reload(configuration());
  };
  await expect(ask()).rejects.toMatchObject({ code: 'permission-denied' });

  await change('--node', 'n2');
  await makeUsers();
  await nats.reload(configuration());
  expect(Buffer.from((await ask()).data).toString()).toContain('consumer not found');

  await change('--remove-node', 'n2');
  await expect(ask()).rejects.toMatchObject({ code: 'permission-denied' });
  expect(await connected()).toEqual(before);
});
