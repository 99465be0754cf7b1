import path from 'node:path';
import { Bus } from '@coppice/bus';
import { buckets, chatApi, streams, subjects } from '@coppice/contracts';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeBusUsers } from '../support/bus-users.ts';
import { RawClient } from '../support/raw-client.ts';

/** Tests attacks by the tenant `acme` that permissions on subjects can't prevent. */
let folder: { path: string; remove(): Promise<void> };
let nats: NatsServer;
let everything: Bus;
let orchestrator: Bus;
let consumers: { stop(): Promise<void> };
const actorKey = 'task.other.taaaaaaaaaaaaaaaa';
const actorSubject = `$KV.${buckets.actors}.${actorKey}`;
const actorValue = '{"version":1}';
const otherRequest = '{"secret":"of the other tenant"}';

beforeAll(async () => {
  folder = await temporaryFolder('hostile');
  const users = await makeBusUsers({
    folder: path.join(folder.path, 'users'),
    nodes: ['n1'],
    tenants: ['acme', 'other'],
  });
  nats = await startNatsServer({ config: users.configuration });
  everything = await Bus.connect({ ...nats.connection, name: 'everything' });
  await everything.ensureResources();
  const credentials = users.credentials('orchestrator');
  orchestrator = await Bus.connect({ servers: nats.url, ...credentials, name: 'orchestrator' });
  consumers = await orchestrator.serveTenantConsumers();
  for (const tenant of ['acme', 'other'])
    await everything.publish(subjects.event(tenant, 'raaaaaaaaaaaaaaaa', 'run', 'run-ended'), { tenant });
  await everything.publish(subjects.intake('other'), new TextEncoder().encode(otherRequest));
}, 60_000);
afterAll(async () => {
  await consumers?.stop();
  await orchestrator?.close();
  await everything?.close();
  await nats?.stop();
  await folder?.remove();
});
beforeEach(async () => {
  await everything.keyValue(buckets.actors).put(actorKey, new TextEncoder().encode(actorValue));
});

const hostile = () => RawClient.connect(nats.url, 'acme', 'for-acme');
const stored = async () => new TextDecoder().decode((await everything.keyValue(buckets.actors).get(actorKey))?.value);
const answerSubject = '_INBOX.answer';

/** Returns the server's output with the answer. */
async function ask(
  client: RawClient,
  subject: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<string> {
  client.subscribe(answerSubject);
  client.publish(subject, answerSubject, JSON.stringify(body), headers);
  return client.hear(/^H?MSG .*\r\n[^]*\r\n$|-ERR/m);
}

const createConsumer = (name: string, filter: string): string =>
  `$JS.API.CONSUMER.CREATE.${streams.events}.${name}.${filter}`;
const ownEvents = 'coppice.event.acme.>';
const consumer = (name: string, config: object): object => ({
  stream_name: streams.events,
  config: { name, filter_subject: ownEvents, ack_policy: 'none', ...config },
});

describe('a reply subject that is a subject of the services', () => {
  test('overwrites an actor with the acknowledgement, if it is used inside their account', async () => {
    const { user = '', password = '' } = nats;
    await using insider = await RawClient.connect(nats.url, user, password);
    insider.publish(subjects.intake('acme'), actorSubject, '{}');
    await eventually(async () => expect(await stored()).toContain(streams.intake), { timeoutMs: 5_000 });
  });

  test.each([
    ['the intake', subjects.intake('acme'), '{}'],
    ['the API', subjects.api('acme', 'run.get'), '{}'],
    ['a new consumer', createConsumer('reflected', ownEvents), JSON.stringify(consumer('reflected', {}))],
  ])('has no effect if it is used by a tenant (%s)', async (_what, subject, payload) => {
    await using client = await hostile();
    client.publish(subject, actorSubject, payload);
    expect(await client.settle()).not.toContain('-ERR');
    // The second request has a legitimate reply subject. Its answer shows that the server has also finished the first
    // request.
    await ask(client, subjects.intake('acme'), {});
    expect(await stored()).toBe(actorValue);
  });

  test('has no effect for the messages that a consumer delivers', async () => {
    await using client = await hostile();
    expect(await ask(client, createConsumer('pull', ownEvents), consumer('pull', {}))).toContain('"name":"pull"');
    client.publish(`$JS.API.CONSUMER.MSG.NEXT.${streams.events}.pull`, actorSubject, '{"batch":1}');
    await client.settle();
    expect(await stored()).toBe(actorValue);
    expect(await everything.storedMessages(streams.events)).toBe(2);
  });
});

describe('a consumer', () => {
  test('of the own events is created', async () => {
    await using client = await hostile();
    await ask(client, createConsumer('own', ownEvents), consumer('own', {}));
    client.publish(`$JS.API.CONSUMER.MSG.NEXT.${streams.events}.own`, answerSubject, '{"batch":2,"expires":300000000}');
    const said = await client.hear(/408/);
    expect(said).toContain('{"tenant":"acme"}');
    expect(said).not.toContain('{"tenant":"other"}');
  });

  test.each([
    ['another filter in its body', { filter_subject: 'coppice.event.other.>' }],
    ['no filter in its body', { filter_subject: undefined }],
    [
      'a second filter in its body',
      { filter_subject: undefined, filter_subjects: [ownEvents, 'coppice.event.other.>'] },
    ],
  ])('with %s is rejected', async (_what, config) => {
    await using client = await hostile();
    expect(await ask(client, createConsumer('lies', ownEvents), consumer('lies', config))).toContain('"error"');
  });
});

describe('a request for a consumer', () => {
  test.each([
    ['over an actor', { deliver_subject: actorSubject }],
    ['as a request to the server', { deliver_subject: `$JS.API.STREAM.PURGE.${streams.events}` }],
    ['as a command', { deliver_subject: subjects.command('worktree-service', 'any', 'land') }],
    ['as an event of another tenant', { deliver_subject: subjects.event('other', 'r', 't', 'task-state') }],
    ['to services', { deliver_subject: '$SRV.INFO', deliver_group: 'q' }],
    ['endlessly', { deliver_subject: '$SRV.INFO', idle_heartbeat: 100_000_000, flow_control: true }],
  ])('that delivers %s is rejected, and delivers nothing', async (_what, config) => {
    const heard: string[] = [];
    const { deliver_subject: subject } = config;
    const subscription = everything.subscribeCore(subject, (_data, on) => heard.push(on));
    await everything.flush();
    await using client = await hostile();
    const said = await ask(client, createConsumer('push', ownEvents), consumer('push', config));
    expect(said).toMatch(/"code":400.*config\.(deliver_subject|deliver_group|flow_control|idle_heartbeat): expected/);
    const pulled = await ask(client, `$JS.API.CONSUMER.MSG.NEXT.${streams.events}.push`, { batch: 1, no_wait: true });
    expect(pulled).not.toContain('{"tenant"');
    await everything.flush();
    subscription.unsubscribe();
    expect(heard).toEqual([]);
    expect(await everything.storedMessages(streams.events)).toBe(2);
  });

  test.each([
    ['a durable name', { durable_name: 'stays' }, 'config.durable_name: expected'],
    ['acknowledgements', { ack_policy: 'explicit' }, 'config.ack_policy: expected'],
    ['a field of a later server', { deliver_to_all: true }, 'deliver_to_all'],
    ['another name', { name: 'other' }, 'config.name: expected own, as in the subject, received other'],
  ])('with %s is rejected', async (_what, config, why) => {
    await using client = await hostile();
    expect(await ask(client, createConsumer('own', ownEvents), consumer('own', config))).toContain(why);
  });

  test('can not change the filter of an existing consumer', async () => {
    await using client = await hostile();
    await ask(client, createConsumer('taken', ownEvents), consumer('taken', {}));
    expect(await ask(client, createConsumer('taken', ownEvents), consumer('taken', {}))).toContain('"name":"taken"');
    const filter_subject = 'coppice.event.other.>';
    const body = { stream_name: streams.events, config: { name: 'taken', filter_subject, ack_policy: 'none' } };
    await using other = await RawClient.connect(nats.url, 'other', 'for-other');
    expect(await ask(other, createConsumer('taken', filter_subject), body)).toContain('"err_code":10148');
  });

  test('gets a consumer in memory that ends some minutes after its last use, whatever was requested', async () => {
    await using client = await hostile();
    const settings = { mem_storage: false, num_replicas: 3, inactive_threshold: 3_600_000_000_000 };
    const said = await ask(client, createConsumer('short', ownEvents), consumer('short', settings));
    expect(said).toContain('"inactive_threshold":300000000000');
    expect(said).toContain('"mem_storage":true');
    expect(said).toContain('"num_replicas":1');
  });
});

describe('a malformed request for a consumer', () => {
  const huge = 'x'.repeat(1_000_000);
  const create = createConsumer('huge', ownEvents);
  test.each([
    ['a stream name of a megabyte', create, JSON.stringify({ stream_name: huge, config: {} })],
    ['a name of some kilobytes', create, JSON.stringify(consumer('y'.repeat(15_000), {}))],
    ['bytes that are not text', create, '\xff'.repeat(10_000)],
    ['nothing', create, ''],
    ['a list', create, '[]'],
  ])('%s is rejected with a short error, and the next request is answered', async (_what, subject, payload) => {
    await using client = await hostile();
    client.subscribe(answerSubject);
    client.publish(subject, answerSubject, payload);
    const said = await client.hear(/^H?MSG .*\r\n[^]*\r\n$|-ERR/m);
    expect(said).toContain('"code":400');
    expect(said.length).toBeLessThan(2_000);
    expect(await ask(client, createConsumer(`after-${Date.now()}`, ownEvents), consumer('wrong', {}))).toContain('400');
  });
});

test('a tenant that creates consumers endlessly gets only the allowed number, and other tenants are not affected', async () => {
  await using client = await hostile();
  client.subscribe('_INBOX.many.>');
  const many = 1_200;
  for (let count = 0; count < many; count++) {
    const [name, reply] = [`many-${count}`, `_INBOX.many.${count}`];
    client.publish(createConsumer(name, ownEvents), reply, JSON.stringify(consumer(name, {})));
  }
  let refused = 0;
  await eventually(async () => {
    refused += (await client.settle()).split('"err_code":').length - 1;
    return refused > many - 200;
  });
  await using other = await RawClient.connect(nats.url, 'other', 'for-other');
  const filter_subject = 'coppice.event.other.>';
  const body = { stream_name: streams.events, config: { name: 'free', filter_subject, ack_policy: 'none' } };
  expect(await ask(other, createConsumer('free', filter_subject), body)).toContain('"name":"free"');
  const { data } = await everything.request(`$JS.API.STREAM.INFO.${streams.events}`, {}, { deadlineMs: 5_000 });
  const { state } = JSON.parse(new TextDecoder().decode(data)) as { state: { consumer_count: number } };
  expect(state.consumer_count).toBeLessThan(100);
  // After consumers are deleted, new ones can be created.
  for (let count = 0; count < many; count++)
    client.publish(`$JS.API.CONSUMER.DELETE.${streams.events}.many-${count}`, '_INBOX.many.x', '');
  await using later = await hostile();
  await eventually(
    async () => {
      const name = `again-${Math.random()}`.replace('.', '');
      return (await ask(later, createConsumer(name, ownEvents), consumer(name, {}))).includes(`"name":"${name}"`);
    },
    { timeoutMs: 30_000 },
  );
}, 120_000);

describe('a schedule', () => {
  test.each([
    ['with another tenant as its target', { 'Nats-Schedule-Target': subjects.intake('other') }],
    [
      'with the requests of another tenant as its source',
      { 'Nats-Schedule-Target': subjects.intakeLater('acme', 'x'), 'Nats-Schedule-Source': subjects.intake('other') },
    ],
  ])('%s has no effect', async (_what, headers) => {
    const before = await everything.storedMessages(streams.intake);
    await using client = await hostile();
    const all = { 'Nats-Schedule': '@every 1s', ...headers };
    expect(await ask(client, subjects.intake('acme'), {}, all)).toContain('"error"');
    expect(await everything.storedMessages(streams.intake)).toBe(before);
    expect(await everything.storedMessages(streams.intakeLater)).toBe(0);
  });
});

test('the server forgets requests that are never answered, however many a tenant sends', async () => {
  const subject = subjects.api('acme', chatApi.keep.name);
  const deaf = everything.subscribeCore(subject, () => {});
  await everything.flush();
  await using client = await hostile();
  client.subscribe('_INBOX.flood.>');
  for (let count = 0; count < 5_000; count++) client.publish(subject, `_INBOX.flood.${count}`, '{}');
  await client.settle();
  const remembered = async () => {
    const url = new URL('/accountz?acc=COPPICE', nats.monitoringUrl);
    const { account_detail: account } = (await (await fetch(url)).json()) as { account_detail: { responses?: object } };
    return Object.keys(account.responses ?? {}).length;
  };
  expect(await remembered()).toBeGreaterThan(1_000);
  await eventually(async () => (await remembered()) === 0, { timeoutMs: 60_000 });
  deaf.unsubscribe();
}, 120_000);
