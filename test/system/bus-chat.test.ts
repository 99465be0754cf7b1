/** Tests chats between accounts. A tenant's user receives the replies in its own account. */
import path from 'node:path';
import { Bus } from '@coppice/bus';
import { buckets, chatApi, chatLimits, chatMessageSchema, subjects } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';
import { startFaultyUpstream } from '@coppice/faulty-upstream';
import type { FaultyRequest, FaultyUpstream } from '@coppice/faulty-upstream';
import { eventually, startNatsServer, startProcess, temporaryFolder } from '@coppice/testing';
import type { NatsServer, StartedProcess } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeBusUsers } from '../support/bus-users.ts';
import type { BusUsers, UserName } from '../support/bus-users.ts';
import { RawClient } from '../support/raw-client.ts';

const gatewayProgram = path.resolve(import.meta.dirname, '../../apps/llm-gateway/src/main.ts');
const tenants = ['acme', 'other'] as const;
const actorKey = 'task.other.taaaaaaaaaaaaaaaa';

let folder: { path: string; remove(): Promise<void> };
let users: BusUsers;
let nats: NatsServer;
let everything: Bus;
let upstream: FaultyUpstream;
const gateways: StartedProcess[] = [];
const connections: Bus[] = [];
const requests: FaultyRequest[] = [];

beforeAll(async () => {
  folder = await temporaryFolder('bus-chat');
  users = await makeBusUsers({ folder: path.join(folder.path, 'users'), nodes: ['n1'], tenants: [...tenants] });
  nats = await startNatsServer({ config: users.configuration });
  everything = await Bus.connect({ ...nats.connection, name: 'everything' });
  await everything.ensureResources();
  upstream = await startFaultyUpstream({ onRequest: (request) => requests.push(request) });
  for (let count = 0; count < 2; count++) {
    const gateway = startProcess(gatewayProgram, [], {
      NATS_URL: nats.url,
      NATS_CREDENTIALS_FILE: users.file('llm-gateway'),
      COPPICE_NODE: 'n1',
      COPPICE_DATA: path.join(folder.path, 'data'),
      COPPICE_LOG_LEVEL: 'info',
      COPPICE_OPENAI_PROVIDERS: `drill=${upstream.url}/v1`,
    });
    gateways.push(gateway);
    await gateway.waitForLine('started');
  }
}, 120_000);
afterAll(async () => {
  await Promise.all(connections.map((bus) => bus.close()));
  await Promise.all(gateways.map((gateway) => gateway.kill()));
  await upstream?.close();
  await everything?.close();
  await nats?.stop();
  await folder?.remove();
});

async function as(user: UserName): Promise<Bus> {
  const bus = await Bus.connect({ servers: nats.url, ...users.credentials(user), name: user });
  connections.push(bus);
  return bus;
}

const messages = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] }];
const ask = (bus: Bus, tenant: string, model: string) =>
  bus.callStreamed({
    method: chatApi.chat,
    target: { tenant },
    input: { model, messages },
    message: chatMessageSchema,
    silenceMsMax: chatLimits.lostAfterMs,
  });
const answerText = 'The upstream answers, in some pieces.';
const textOf = (heard: readonly ChatMessage[]) =>
  heard.map((message) => (message.type === 'text-delta' ? message.text : '')).join('');

test.each([
  ['tenant-acme', 'acme'],
  ['tenant-other', 'other'],
  ['operator', 'acme'],
] as const)('%s receives a complete answer, as a stream and as one message', async (user, tenant) => {
  const bus = await as(user);
  const requestsBefore = requests.length;
  const heard = await Array.fromAsync(untilEnd(ask(bus, tenant, 'drill/paced@20')));
  expect(heard.map(({ sequence }) => sequence)).toEqual([...heard.keys()]);
  expect(heard.length).toBeGreaterThan(5);
  expect([heard[0]?.type, heard.at(-1)?.type, textOf(heard)]).toEqual(['started', 'result', answerText]);
  const whole = await bus.call(chatApi.chat, { tenant }, { model: 'drill/healthy', messages, stream: false });
  expect(whole.message.content).toEqual([{ type: 'text', text: answerText }]);
  // Each request was delivered only once.
  expect(requests.length - requestsBefore).toBe(2);
});

async function* untilEnd(stream: AsyncIterable<ChatMessage>): AsyncGenerator<ChatMessage> {
  for await (const message of stream) {
    yield message;
    if (message.type === 'result') return;
  }
}

test('a chat can be kept and cancelled by its tenant across accounts, but not by another tenant who knows its id', async () => {
  const [acme, other] = [await as('tenant-acme'), await as('tenant-other')];
  const cancel = (bus: Bus, tenant: string, chatId: string) =>
    bus.call(chatApi.cancel, { tenant }, { chatId }, { deadlineMs: 1_000 });
  let chatId = '';
  const hear = async () => {
    for await (const message of ask(acme, 'acme', 'drill/stall-after-output')) {
      if (message.type === 'started') ({ chatId } = message);
      if (message.type !== 'text-delta' || chatId === '') continue;
      await expect(cancel(other, 'acme', chatId)).rejects.toMatchObject({ code: 'permission-denied' });
      await expect(cancel(other, 'other', chatId)).rejects.toMatchObject({ code: 'deadline-exceeded' });
      expect(await acme.call(chatApi.keep, { tenant: 'acme' }, { chatId })).toEqual({ chatId });
      expect(await cancel(acme, 'acme', chatId)).toEqual({ chatId });
      chatId = '';
    }
  };
  await expect(hear()).rejects.toMatchObject({ code: 'cancelled' });
  expect(await requests.at(-1)?.ended).toBe('left');
});

test('a reply subject that is a subject of the services has no effect in their account', async () => {
  const actors = everything.keyValue(buckets.actors);
  await actors.put(actorKey, new TextEncoder().encode('{"version":1}'));
  await using client = await RawClient.connect(nats.url, 'acme', 'for-acme');
  const requestsBefore = requests.length;
  const subject = subjects.api('acme', chatApi.chat.name);
  client.publish(subject, `$KV.${buckets.actors}.${actorKey}`, JSON.stringify({ model: 'drill/healthy', messages }));
  expect(await client.settle()).not.toContain('-ERR');
  // This request's reply subject is its own subject. The answer must not become another request.
  client.publish(subject, subject, JSON.stringify({ model: 'drill/healthy', messages }));
  const acme = await as('tenant-acme');
  const heard = await Array.fromAsync(untilEnd(ask(acme, 'acme', 'drill/paced@20')));
  expect(textOf(heard)).toBe(answerText);
  expect(requests.length - requestsBefore).toBe(3);
  expect(new TextDecoder().decode((await actors.get(actorKey))?.value)).toBe('{"version":1}');
});

test('a restart of the server ends chats without a listener, and the gateway disconnects from their models', async () => {
  const client = await Bus.connect({ servers: nats.url, ...users.credentials('tenant-acme'), name: 'before' });
  const { promise: said, resolve } = Promise.withResolvers<void>();
  const hear = async () => {
    for await (const { type } of ask(client, 'acme', 'drill/stall-after-output')) if (type === 'text-delta') resolve();
  };
  // Ignores how the chat ends, since this test is about the gateway.
  const heard = hear().catch(() => null);
  await said;
  await nats.restart();
  expect(await requests.at(-1)?.ended).toBe('left');
  await client.close();
  await heard;
  const acme = await as('tenant-acme');
  // Repeats the call until the gateways have reconnected.
  const again = { model: 'drill/healthy', messages, stream: false };
  await eventually(() => acme.call(chatApi.chat, { tenant: 'acme' }, again, { deadlineMs: 1_000 }));
});

test('no permission was denied to the gateways', () => {
  for (const { lines } of gateways)
    expect(lines.filter(({ text }) => /permission/i.test(text) && !text.includes('permission-denied'))).toEqual([]);
});
