import { Bus } from '@coppice/bus';
import { chatApi } from '@coppice/contracts';
import { startService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Provider } from '../../provider/port.ts';
import { startLlmGateway } from '../../service.ts';
import { sendChat } from '../../test-support/chat-client.ts';
import type { HeardChat } from '../../test-support/chat-client.ts';
import { end, saying, text } from '../../test-support/says.ts';
import type { BusEndpointLimits } from './limits.ts';

let nats: NatsServer;
let bus: Bus;
const stops: (() => Promise<void>)[] = [];
beforeEach(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
});
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
  await bus?.close();
  await nats?.stop();
});

/** Starts a gateway. Its model sends one word, waits for the call of `goOn` and sends the rest. */
async function startGateway(limits: Partial<BusEndpointLimits> = {}, cache?: { ttlMs: number; entryBytesMax: number }) {
  const { promise: going, resolve: goOn } = Promise.withResolvers<void>();
  const calls = { now: 0, left: 0 };
  const acme: Provider = {
    ...saying('acme'),
    async *stream(_request, { signal }) {
      calls.now++;
      yield [text('one')];
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => {
        calls.left++;
        reject(signal.reason);
      });
      await Promise.race([going, aborted]);
      yield [text(' two'), end];
    },
  };
  const gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        providers: [acme],
        chats: { limits },
        ...(cache === undefined ? {} : { cache }),
      }),
  });
  stops.push(() => gateway.stop());
  return { goOn, calls, stop: () => gateway.stop() };
}

const hi = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] }];

/** Starts a chat. Resolves once the chat's first word has arrived. */
async function begun(): Promise<{ chatId: string; ended: Promise<HeardChat> }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let chatId = '';
  const ended = sendChat(
    bus,
    { model: 'acme/one' },
    {
      onMessage: (message) => {
        if (message.type === 'started') ({ chatId } = message);
        if (message.type === 'text-delta') resolve();
      },
    },
  );
  await Promise.race([promise, ended]);
  return { chatId, ended };
}

test('a chat belongs to one gateway, and its client reaches that gateway', async () => {
  const gateways = [await startGateway(), await startGateway()];
  const chats = await Promise.all(Array.from({ length: 12 }, begun));
  const share = gateways.map(({ calls }) => calls.now);
  expect(share.reduce((sum, each) => sum + each)).toBe(12);
  for (const { chatId, ended } of chats) {
    expect(await bus.call(chatApi.cancel, { tenant: 'default' }, { chatId })).toEqual({ chatId });
    expect((await ended).error).toMatchObject({ code: 'cancelled' });
  }
  await eventually(() => gateways.every(({ calls }, index) => calls.left === share[index]));
});

test('a chat without keep messages ends, and so does its upstream call', async () => {
  const { calls } = await startGateway({ unkeptMsMax: 50, sweepMs: 10 });
  const { ended } = await begun();
  expect((await ended).error).toMatchObject({ code: 'cancelled', message: 'no llm.keep was received for 50 ms' });
  expect(calls.left).toBe(1);
});

test('a gateway with the maximum number of chats rejects a further one at once', async () => {
  const { goOn } = await startGateway({ chatsMax: 1 });
  const first = await begun();
  const second = await sendChat(bus, { model: 'acme/one' });
  expect(second.messages).toEqual([]);
  expect(second.error).toMatchObject({ code: 'unavailable', retryable: true });
  goOn();
  expect((await first.ended).text).toBe('one two');
  expect((await sendChat(bus, { model: 'acme/one' })).error).toBeNull();
});

test('a stopping gateway rejects new chats, and lets those in progress finish', async () => {
  const first = await startGateway();
  const chat = await begun();
  const stopped = first.stop();
  const second = await startGateway();
  second.goOn();
  // Some chats still reach the stopping gateway, which rejects them with a retryable error.
  await eventually(async () => (await sendChat(bus, { model: 'acme/one' })).error === null);
  for (let count = 0; count < 5; count++) expect((await sendChat(bus, { model: 'acme/one' })).error).toBeNull();
  // Until its end, the stopping gateway answers `llm.keep`, which all gateways receive.
  expect(await bus.call(chatApi.keep, { tenant: 'default' }, { chatId: chat.chatId })).toEqual({ chatId: chat.chatId });
  first.goOn();
  expect((await chat.ended).text).toBe('one two');
  await stopped;
});

test('a chat that does not end in time gets an error', async () => {
  const { stop, calls } = await startGateway({ drainMs: 1 });
  const { ended } = await begun();
  await stop();
  expect((await ended).error).toMatchObject({ code: 'unavailable', retryable: true });
  expect(calls.left).toBe(1);
});

test('a restart of the NATS server ends every chat, since its client may be gone', async () => {
  const { goOn, calls } = await startGateway();
  const { chatId, ended } = await begun();
  // The error may be ignored, since the chat's last message may be lost during the restart.
  ended.catch(() => null);
  await nats.restart();
  await eventually(() => calls.left === 1);
  goOn();
  const whole = { model: 'acme/one', messages: hi, stream: false };
  await eventually(() => bus.call(chatApi.chat, { tenant: 'default' }, whole, { deadlineMs: 1_000 }));
  const kept = bus.call(chatApi.keep, { tenant: 'default' }, { chatId }, { deadlineMs: 1_000 });
  await expect(kept).rejects.toMatchObject({ code: 'deadline-exceeded' });
});

test('an answer from the cache is marked as such, without a request to a provider', async () => {
  const { goOn, calls } = await startGateway({}, { ttlMs: 600_000, entryBytesMax: 100_000 });
  goOn();
  expect((await sendChat(bus, { model: 'acme/one' })).result).toMatchObject({ cached: false, attempts: 1 });
  await eventually(async () => (await sendChat(bus, { model: 'acme/one' })).result?.cached === true);
  const now = calls.now;
  const { text: heard, result, messages } = await sendChat(bus, { model: 'acme/one' });
  expect(heard).toBe('one two');
  expect(messages.map(({ type }) => type)).toEqual(['started', 'text-delta', 'result']);
  expect(result).toMatchObject({ cached: true, attempts: 0, provider: 'acme', usage: { costUsd: 0 } });
  expect(calls.now).toBe(now);
});
