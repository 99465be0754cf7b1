/** Tests that a chat can be cancelled while it waits for its artifacts, and that it doesn't block other chats. */
import { Bus } from '@coppice/bus';
import { artifactNames, buckets, chatApi } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatewayLimits } from '../../limits.ts';
import { startLlmGateway } from '../../service.ts';
import { sendChat, sendWholeChat } from '../../test-support/chat-client.ts';
import { end, saying, text } from '../../test-support/says.ts';

let nats: NatsServer;
let bus: Bus;
let gateway: StartedService;
/** JetStream consumers of the reads in progress. */
const requested = new Set<string>();
const names = Array.from({ length: 6 }, (_, index) =>
  artifactNames.text({ tenant: 'default', taskId: 'taaaaaaaaaaaaaaaa' }, `a${index}`),
);
const naming = (artifact: string | undefined) => ({
  model: 'acme/hello',
  messages: [{ role: 'user', content: [{ type: 'text-artifact', artifact }] }],
});

beforeAll(async () => {
  // Redirects requests for an artifact's chunks to the test, which never answers them.
  const held = `mappings: { "$JS.API.CONSUMER.MSG.NEXT.OBJ_${buckets.artifacts}.*": "held.$1" }`;
  nats = await startNatsServer({ config: held });
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const store = await bus.objects(buckets.artifacts);
  for (const name of names) await store.put(name, Buffer.from('never read'));
  bus.subscribeCore('held.*', (_request, subject) => requested.add(subject));
  gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) => startLlmGateway(context, { providers: [saying('acme', [text('hello'), end])] }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await bus?.close();
  await nats?.stop();
});

test('all chats get their ids before the artifacts are read, a few artifacts are read at once, and cancelling ends each chat', async () => {
  const ids: string[] = [];
  const chats = names.map((name) =>
    sendChat(bus, naming(name), { onMessage: (message) => message.type === 'started' && ids.push(message.chatId) }),
  );
  await eventually(() => ids.length === names.length && requested.size === gatewayLimits.artifactReadsAtOnce);
  expect((await sendChat(bus, { model: 'acme/hello' })).error).toBeNull();
  expect(requested.size).toBe(gatewayLimits.artifactReadsAtOnce);
  for (const chatId of ids) await bus.call(chatApi.cancel, { tenant: 'default' }, { chatId });
  for (const { messages, error } of await Promise.all(chats)) {
    expect(messages.map(({ type }) => type)).toEqual(['started']);
    expect(error).toMatchObject({ code: 'cancelled' });
  }
});

test('the time limit ends a chat during the read, streamed or not', async () => {
  const limited = { ...naming(names[0]), timeLimitMs: 1_000 };
  expect((await sendChat(bus, limited)).error).toMatchObject({ code: 'deadline-exceeded' });
  await expect(sendWholeChat(bus, limited)).rejects.toMatchObject({ code: 'deadline-exceeded' });
});
