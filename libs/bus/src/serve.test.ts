import { CoppiceError, api, chatApi, chatMessageSchema, messageHeaders, subjects } from '@coppice/contracts';
import type { ChatAnswer } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Bus, apiEndpoint, sharedApiEndpoint, streamedApiEndpoint } from './index.ts';
import type { Answer, Endpoint, Service } from './index.ts';

let server: NatsServer;
let bus: Bus;
const services: Service[] = [];
beforeAll(async () => {
  server = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...server.connection, name: 'serve-test' });
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

async function serve(...endpoints: Endpoint[]): Promise<Service> {
  const service = await bus.serve({ name: 'test', version: '1.0.0', description: 'answers', endpoints });
  services.push(service);
  return service;
}

const chatId = `c${'0'.repeat(32)}`;
const question = { model: 'a/b', messages: [{ role: 'user' as const, content: [] }] };
const ask = () =>
  bus.callStreamed({
    method: chatApi.chat,
    target: { tenant: 'acme' },
    input: question,
    message: chatMessageSchema,
    silenceMsMax: 10_000,
  });
const streamed = (handler: (answer: Answer) => Promise<ChatAnswer | undefined>) =>
  streamedApiEndpoint(chatApi.chat, (_input, { answer }) => handler(answer));

describe('an answer of several messages', () => {
  test('arrives in order, as long as the caller reads', async () => {
    await serve(
      streamed(async (answer) => {
        answer.send({ sequence: 0, type: 'started', chatId });
        for (let sequence = 1; sequence < 500; sequence++) answer.send({ sequence, type: 'text-delta', text: 'x' });
        await answer.flushed();
        return undefined;
      }),
    );
    const sequences: number[] = [];
    for await (const { sequence } of ask()) {
      sequences.push(sequence);
      if (sequence === 499) break;
    }
    expect(sequences).toEqual([...Array(500).keys()]);
  });

  test('reports an error in the form of its messages, once it has begun', async () => {
    await serve(
      streamed(async (answer) => {
        answer.send({ sequence: 0, type: 'started', chatId });
        answer.sendErrorsAs((error) => ({ sequence: 1, type: 'error', error }));
        throw new CoppiceError('provider-failed', 'cut', { retryable: true });
      }),
    );
    const heard: unknown[] = [];
    const hear = async () => {
      for await (const message of ask()) heard.push(message);
    };
    await expect(hear()).rejects.toMatchObject({ code: 'provider-failed', message: 'cut', retryable: true });
    expect(heard).toHaveLength(1);
  });

  test("can't contain a message that is too large; the caller gets the error", async () => {
    await serve(
      streamed(async (answer) => {
        answer.send({ sequence: 0, type: 'text-delta', text: 'x'.repeat(2_000_000) });
        return undefined;
      }),
    );
    await expect(ask().next()).rejects.toMatchObject({ code: 'limit-exceeded' });
  });

  test("isn't made for a request without a reply subject", async () => {
    let handled = 0;
    await serve(
      streamed(async (answer) => {
        handled++;
        answer.send({ sequence: 0, type: 'started', chatId });
        return undefined;
      }),
    );
    bus.publishCore(subjects.api('acme', chatApi.chat.name), question);
    for await (const { type } of ask()) if (type === 'started') break;
    expect(handled).toBe(1);
  });

  test('is unavailable when no service answers, or no message arrives', async () => {
    await expect(ask().next()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('llm.chat'),
    });
    await serve(streamed(async () => undefined));
    const silent = bus.callStreamed({
      method: chatApi.chat,
      target: { tenant: 'acme' },
      input: question,
      message: chatMessageSchema,
      silenceMsMax: 20,
    });
    await expect(silent.next()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('20 ms'),
    });
  });
});

describe('an endpoint that every process gets requests of', () => {
  const cancel = (deadlineMs = 5_000) => bus.call(chatApi.cancel, { tenant: 'acme' }, { chatId }, { deadlineMs });

  test('is answered by the process that the request concerns', async () => {
    const heard: string[] = [];
    const named = (name: string, own: boolean) =>
      sharedApiEndpoint(chatApi.cancel, (input) => {
        heard.push(name);
        return own ? input : undefined;
      });
    await serve(named('one', false));
    await serve(named('two', true));
    await serve(named('three', false));
    expect(await cancel()).toEqual({ chatId });
    await eventually(() => heard.length === 3);
    expect(heard.toSorted()).toEqual(['one', 'three', 'two']);
  });

  test('is still served by a stopping process while it has requests in progress', async () => {
    const { promise: released, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    await serve(
      streamed(async (answer) => {
        answer.send({ sequence: 0, type: 'started', chatId });
        begun.resolve();
        await released;
        answer.send({ sequence: 1, type: 'waiting' });
        return undefined;
      }),
      sharedApiEndpoint(chatApi.cancel, (input) => {
        resolve();
        return input;
      }),
    );
    const answers = ask();
    await answers.next();
    await begun.promise;
    const stopped = services.pop()?.stop();
    // Waits until the service accepts no more requests.
    await eventually(async () => {
      await using other = ask();
      return other.next().then(
        () => false,
        () => true,
      );
    });
    expect(await cancel()).toEqual({ chatId });
    expect((await answers.next()).value).toMatchObject({ type: 'waiting' });
    await answers.return();
    await stopped;
    await expect(cancel()).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('is listed by the services protocol without a queue group', async () => {
    await serve(
      sharedApiEndpoint(chatApi.cancel, (input) => input),
      streamed(async () => undefined),
    );
    const { data } = await bus.request('$SRV.INFO.test', {}, { deadlineMs: 5_000 });
    const { endpoints } = JSON.parse(new TextDecoder().decode(data)) as { endpoints: { queue_group: string }[] };
    expect(endpoints.map(({ queue_group: group }) => group)).toEqual(['', 'q']);
  });
});

describe('a hostile request', () => {
  const subject = subjects.api('acme', api.runGet.name);
  const runId = 'raaaaaaaaaaaaaaaa';

  test.each([
    [
      'has a field name almost as long as the request',
      `{"runId":"${runId}","${'x'.repeat(900_000)}":1}`,
      'invalid-request',
    ],
    [
      'has many such fields',
      `{"runId":"${runId}",${Array.from({ length: 60 }, (_, at) => `"${at}${'x'.repeat(15_000)}":1`).join(',')}}`,
      'invalid-request',
    ],
    ['has very many values', `[${'{},'.repeat(300_000)}{}]`, 'limit-exceeded'],
    ['is very deep', `${'['.repeat(500_000)}${']'.repeat(500_000)}`, 'limit-exceeded'],
  ])('that %s gets an error as its answer', async (_what, body, code) => {
    await serve(apiEndpoint(api.runGet, async () => Promise.reject(new Error('not reached'))));
    const reply = await bus.request(subject, new TextEncoder().encode(body), { deadlineMs: 20_000 });
    expect(reply.headers?.get(messageHeaders.errorCode)).toBe(code);
    const { error } = JSON.parse(new TextDecoder().decode(reply.data)) as { error: { code: string } };
    expect(error.code).toBe(code);
  });
});
