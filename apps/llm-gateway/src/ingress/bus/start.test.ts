import { Bus, busLimits } from '@coppice/bus';
import { artifactNames, buckets, chatApi, chatLimits, subjects } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelDelta, Provider, RequestContext } from '../../provider/port.ts';
import { startLlmGateway } from '../../service.ts';
import { sendChat, sendWholeChat } from '../../test-support/chat-client.ts';
import { end, saying, text } from '../../test-support/says.ts';
import type { BusEndpointSettings } from './start.ts';

let nats: NatsServer;
let bus: Bus;
const gateways: StartedService[] = [];

/** Deltas by model. The provider below adds the delta `end`. */
const said: Readonly<Record<string, ModelDelta[]>> = {
  hello: [text('hel'), text('lo'), { type: 'usage', usage: { inputTokens: 9, outputTokens: 2 } }],
  large: [text('🌳'.repeat(600_000))],
  calls: [
    { type: 'response-start', responseModel: 'acme-1', responseId: 'r-1' },
    { type: 'thinking-delta', block: 0, text: 'hm', signature: { wire: 'anthropic', value: 'sig' } },
    { type: 'tool-call-delta', call: 0, name: 'look', arguments: '{"at":' },
    { type: 'tool-call-delta', call: 0, arguments: '1}' },
    { type: 'tool-call-delta', call: 1, id: 'own', name: 'look', arguments: '{}' },
  ],
};

/** Names of the `silent…` models whose call was aborted. These models send one word and then nothing. */
const left: string[] = [];
const silent = (context: RequestContext) =>
  new Promise<never>((_resolve, reject) =>
    context.signal.addEventListener('abort', () => reject(context.signal.reason)),
  );
const acme: Provider = {
  ...saying('acme'),
  async *stream({ model, messages }, context) {
    if (model === 'echo') yield [text(JSON.stringify(messages))];
    else if (!model.startsWith('silent')) for (const delta of said[model] ?? []) yield [delta];
    else {
      yield [text('wait')];
      await silent(context).finally(() => left.push(model));
    }
    yield [end];
  },
};

async function startGateway(chats: BusEndpointSettings = {}): Promise<StartedService> {
  const gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    start: (context) =>
      startLlmGateway(context, {
        providers: [acme],
        chats,
        tenantLimits: [{ tenant: 'poor', per: 'ever', tokens: 100 }],
      }),
  });
  gateways.push(gateway);
  return gateway;
}

beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  await startGateway();
});
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  await bus?.close();
  await nats?.stop();
});

describe('an answer', () => {
  test('is sent while the model generates it, and ends with the result', async () => {
    const { messages, text: whole, result, error } = await sendChat(bus, { model: 'acme/hello' });
    expect(error).toBeNull();
    expect(messages.map(({ type }) => type)).toEqual(['started', 'text-delta', 'text-delta', 'result']);
    expect(whole).toBe('hello');
    expect(result).toEqual({
      type: 'result',
      sequence: 3,
      finishReason: 'stop',
      responseModel: 'hello',
      usage: { inputTokens: 9, outputTokens: 2, costUsd: null },
      provider: 'acme',
      model: 'hello',
      attempts: 1,
      latencyMs: expect.any(Number),
      queuedMs: expect.any(Number),
      cached: false,
    });
  });

  test('is sent in one message if requested, and can be sent back unchanged', async () => {
    const answer = await sendWholeChat(bus, { model: 'acme/calls' });
    expect(answer).toMatchObject({ finishReason: 'tool-calls', responseModel: 'acme-1', responseId: 'r-1' });
    const [thought, ...calls] = answer.message.content;
    expect(thought).toMatchObject({ type: 'thinking', text: { text: 'hm' }, signature: { value: 'sig' } });
    expect(calls).toEqual([
      { type: 'tool-call', id: expect.stringMatching(/^[a-z0-9]{9}$/), name: 'look', arguments: { text: '{"at":1}' } },
      { type: 'tool-call', id: 'own', name: 'look', arguments: { text: '{}' } },
    ]);
    const echoed = await sendWholeChat(bus, { model: 'acme/echo', messages: [answer.message] });
    const [part] = echoed.message.content;
    expect(part?.type === 'text' && part.text).toContain('"arguments":"{\\"at\\":1}"');
  });

  test('reports the id that the gateway generated for a call without one', async () => {
    const { messages, error } = await sendChat(bus, { model: 'acme/calls' });
    expect(error).toBeNull();
    const toolCalls = messages.flatMap((message) => (message.type === 'tool-call-delta' ? [message] : []));
    expect(toolCalls.map(({ call, id }) => [call, id])).toEqual([
      [0, undefined],
      [0, undefined],
      [1, 'own'],
      [0, expect.stringMatching(/^[a-z0-9]{9}$/)],
    ]);
  });

  test('with large pieces is sent in several messages, and is rejected if it must fit in one message and does not', async () => {
    const { messages, text: whole } = await sendChat(bus, { model: 'acme/large' });
    expect(whole).toBe('🌳'.repeat(600_000));
    expect(messages.length).toBeGreaterThan(4);
    await expect(sendWholeChat(bus, { model: 'acme/large' })).rejects.toMatchObject({
      code: 'limit-exceeded',
      details: { attempts: 1, usage: { outputTokens: 600_000 } },
    });
  });

  test('may use artifacts of the tenant that the request references', async () => {
    const name = artifactNames.text({ tenant: 'default', taskId: 'taaaaaaaaaaaaaaaa' }, 'a1');
    await (await bus.objects(buckets.artifacts)).put(name, new TextEncoder().encode('by reference'));
    const messages = [{ role: 'user', content: [{ type: 'text-artifact', artifact: name }] }];
    const { message } = await sendWholeChat(bus, { model: 'acme/echo', messages });
    expect(JSON.stringify(message)).toContain('by reference');
    const field = 'messages[0].content[0].artifact';
    await expect(sendWholeChat(bus, { model: 'acme/echo', messages }, 'other')).rejects.toMatchObject({
      code: 'not-found',
      message: `llm.chat: ${field}: expected the name of an artifact, received "${name}"`,
      details: { issues: [{ field }] },
    });
  });

  test('may use only a limited number of different artifacts', async () => {
    const nameOf = (index: number) =>
      artifactNames.text({ tenant: 'default', taskId: 'taaaaaaaaaaaaaaaa' }, `b${index}`);
    await (await bus.objects(buckets.artifacts)).put(nameOf(0), new TextEncoder().encode('by reference'));
    const naming = (indexes: number[]) => [
      { role: 'user', content: indexes.map((index) => ({ type: 'text-artifact', artifact: nameOf(index) })) },
    ];
    const same = Array.from({ length: 1_500 }, () => 0);
    expect((await sendWholeChat(bus, { model: 'acme/hello', messages: naming(same) })).finishReason).toBe('stop');
    const different = Array.from({ length: chatLimits.artifactsMax + 1 }, (_, index) => index);
    await expect(sendWholeChat(bus, { model: 'acme/hello', messages: naming(different) })).rejects.toMatchObject({
      code: 'invalid-request',
      details: { issues: [{ field: 'messages[0].content[64].artifact', expected: 'no more than 64 artifacts' }] },
    });
  });

  test('gets its first message before the artifacts of the request are read', async () => {
    const missing = artifactNames.text({ tenant: 'default', taskId: 'taaaaaaaaaaaaaaaa' }, 'missing');
    const messages = [{ role: 'user', content: [{ type: 'text-artifact', artifact: missing }] }];
    const heard = await sendChat(bus, { model: 'acme/echo', messages });
    expect(heard.messages.map(({ type }) => type)).toEqual(['started']);
    expect(heard.error).toMatchObject({ code: 'not-found', message: expect.stringContaining(missing) });
  });
});

/** Sends a body that the client library would reject, and returns the gateway's error. */
async function refusalOf(body: object): Promise<unknown> {
  const { data } = await bus.request(subjects.api('default', chatApi.chat.name), body, { deadlineMs: 10_000 });
  return (JSON.parse(new TextDecoder().decode(data)) as { error?: unknown }).error;
}
const question = { model: 'acme/hello', messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] };
const issue = (field: string, expected: string, received = expect.any(String)) => ({
  details: { issues: [{ field, expected, received }] },
});

describe('an invalid request is rejected at once', () => {
  test.each([
    ['model', { messages: question.messages }, 'invalid-request', issue('model', 'string', 'nothing')],
    ['messages', { ...question, messages: [] }, 'invalid-request', issue('messages', '>=1 items', '[]')],
    ['a field', { ...question, colour: 'red' }, 'invalid-request', issue('colour', 'no such field', '"red"')],
    [
      'a field of a setting',
      { ...question, settings: { temprature: 1 } },
      'invalid-request',
      issue('settings.temprature', 'no such field (did you mean temperature?)', '1'),
    ],
    [
      'a kind of part',
      { ...question, messages: [{ role: 'user', content: [{ type: 'txt', text: 'hi' }] }] },
      'invalid-request',
      issue(
        'messages[0].content[0].type',
        'one of text, text-artifact, image, thinking, tool-call, tool-result',
        '"txt"',
      ),
    ],
    [
      'a choice',
      { ...question, settings: { toolChoice: 'any' } },
      'invalid-request',
      issue('settings.toolChoice', 'auto, none, required, or an object with tool', '"any"'),
    ],
    [
      'the time of an answer in one message',
      { ...question, stream: false, timeLimitMs: 200_000 },
      'invalid-request',
      issue('timeLimitMs', 'at most 100000 with stream: false', '200000'),
    ],
    ['a model that is not there', { ...question, model: 'nobody/x' }, 'model-not-found', {}],
    [
      'a script',
      { ...question, model: 'scripted/plan.yaml' },
      'permission-denied',
      issue('model', 'a model that is not a script of this machine', '"scripted/plan.yaml"'),
    ],
  ])('%s', async (_what, body, code, more) => {
    expect(await refusalOf(body)).toMatchObject({ code, retryable: false, ...more });
  });

  test('a request with too many small parts is rejected before it is parsed', async () => {
    const content = Array.from({ length: busLimits.requestValuesMax }, () => ({}));
    expect(await refusalOf({ ...question, messages: [{ role: 'user', content }] })).toMatchObject({
      code: 'limit-exceeded',
    });
  });

  test('a request without a reply subject sends no request to a model', async () => {
    bus.publishCore(subjects.api('default', chatApi.chat.name), { ...question, model: 'acme/silent-unawaited' });
    await bus.flush();
    await sendChat(bus, { model: 'acme/hello' });
    expect(left).not.toContain('silent-unawaited');
  });
});

describe('a limit applies', () => {
  test('to the usage of the call and of its tenant', async () => {
    const own = await sendChat(bus, { model: 'acme/hello', limits: { tokens: 50 } });
    expect(own.error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'this call', attempts: 0 } });
    const settings = { maxOutputTokens: 60 };
    const poor = () => sendChat(bus, { model: 'acme/hello', settings }, { tenant: 'poor' });
    for (let count = 0; count < 3; count++) expect((await poor()).error).toBeNull();
    expect((await poor()).error).toMatchObject({ code: 'limit-exceeded', details: { budget: 'tenant poor' } });
    expect((await sendChat(bus, { model: 'acme/hello', settings })).error).toBeNull();
  });

  test('to the time', async () => {
    const { error } = await sendChat(bus, { model: 'acme/silent-late', timeLimitMs: 1_000 });
    expect(error).toMatchObject({ code: 'deadline-exceeded' });
    expect(left).toContain('silent-late');
  });
});

/** Starts a chat, and calls `act` once the model's first word has arrived. */
async function callAnd(model: string, act: (chatId: string) => unknown) {
  let chatId = '';
  return sendChat(
    bus,
    { model: `acme/${model}` },
    {
      onMessage: async (message) => {
        if (message.type === 'started') ({ chatId } = message);
        if (message.type === 'text-delta') await act(chatId);
      },
    },
  );
}
const call = (method: 'keep' | 'cancel', chatId: string, tenant = 'default') =>
  bus.call(chatApi[method], { tenant }, { chatId }, { deadlineMs: 1_000 });

describe('a chat in progress', () => {
  test('can be cancelled by its client, which ends the chat and the model call', async () => {
    const { error, text: heard } = await callAnd('silent-cancelled', async (chatId) => {
      expect(await call('keep', chatId)).toEqual({ chatId });
      expect(await call('cancel', chatId)).toEqual({ chatId });
    });
    expect(heard).toBe('wait');
    expect(error).toMatchObject({ code: 'cancelled', details: { attempts: 1 } });
    await eventually(() => left.includes('silent-cancelled'));
  });

  test('does not exist for another tenant, and an ended chat does not exist for its own tenant', async () => {
    const { error } = await callAnd('silent-other', async (chatId) => {
      for (const method of ['keep', 'cancel'] as const)
        await expect(call(method, chatId, 'other')).rejects.toMatchObject({ code: 'deadline-exceeded' });
      expect(left).not.toContain('silent-other');
      await call('cancel', chatId);
      await eventually(async () => {
        await expect(call('keep', chatId)).rejects.toMatchObject({ code: 'deadline-exceeded' });
        return true;
      });
    });
    expect(error).toMatchObject({ code: 'cancelled' });
  });

  test('rejects an invalid id', async () => {
    const wrong = bus.request(subjects.api('default', chatApi.cancel.name), { chatId: 'c1' }, { deadlineMs: 10_000 });
    expect(new TextDecoder().decode((await wrong).data)).toContain('chatId: expected a chat id');
  });
});
