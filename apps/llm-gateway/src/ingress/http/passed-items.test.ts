/**
 * Tests items that a Responses provider sent and the client references by id. A provider of another wire format gets
 * that request, since an alias contains both providers.
 */
import { createOpenAI } from '@ai-sdk/openai';
import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { streamText } from 'ai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpProvider } from '../../transport/provider.ts';
import { openAiResponses } from '../../wires/openai-responses/wire.ts';
import { generous } from '../../test-support/attempt.ts';
import { playError, startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { KeptItems } from './kept-items.ts';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playEither, wholeCompletion } from './test-support/upstream.ts';

let nats: NatsServer;
let bus: Bus;
let vendor: ModelServer;
let facade: TestFacade;
/** Keys of the bucket that were written or read. */
const keys: string[] = [];
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'passed-items' });
  await bus.ensureResources();
  const bucket = bus.keyValue(buckets.llmItems);
  const noticed = {
    get: (key: string) => (keys.push(key), bucket.get(key)),
    put: (key: string, value: Uint8Array) => (keys.push(key), bucket.put(key, value)),
  };
  vendor = await startModelServer();
  const providerServer = {
    name: 'vendor',
    wire: openAiResponses,
    baseUrl: vendor.baseUrl,
    key: 'k',
    keyRequired: null,
  };
  facade = await startTestFacade({
    items: new KeptItems(noticed, { error: () => {} }),
    providers: [httpProvider(providerServer, generous)],
    aliases: [{ name: 'fast', candidates: ['vendor/gpt-5', 'acme/acme-1'], strategy: 'order' }],
  });
  facade.upstream.play(playEither(textStream('and bye'), wholeCompletion({ content: 'and bye' })));
});
afterAll(async () => {
  await facade[Symbol.asyncDispose]();
  await vendor.close();
  await bus.close();
  await nats.stop();
});

const item = {
  id: 'msg_real1',
  type: 'message',
  status: 'completed',
  role: 'assistant',
  content: [{ type: 'output_text', text: 'hello', annotations: [] }],
};
const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
const response = { id: 'resp_1', object: 'response', created_at: 1, model: 'gpt-5', status: 'completed', usage };
const at = { output_index: 0, item_id: item.id, content_index: 0 };
const events = [
  { type: 'response.created', response: { ...response, status: 'in_progress', output: [] } },
  { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
  { type: 'response.output_text.delta', ...at, delta: 'hello' },
  { type: 'response.output_item.done', output_index: 0, item },
  { type: 'response.completed', response: { ...response, output: [] } },
];
const answers = () => vendor.play(playEither(events, { ...response, output: [item] }));
const fails = () => vendor.play(playError(503, { error: { message: 'overloaded' } }));

async function send(input: unknown, more: object = {}): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${facade.url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'fast', input, ...more }),
  });
  return { status: answer.status, text: await answer.text() };
}

const question = { role: 'user', content: 'and?' };
const named = [{ role: 'user', content: 'hi' }, { type: 'item_reference', id: item.id }, question];
const lastInput = ({ requests }: ModelServer) => requests.at(-1)?.body as { input: unknown; messages: unknown };

test('the AI SDK continues with another provider if the first fails, and with the first one otherwise', async () => {
  const fast = createOpenAI({ apiKey: token, baseURL: `${facade.url}/v1` })('fast');
  answers();
  const first = streamText({ model: fast, prompt: 'hi' });
  expect(await first.text).toBe('hello');
  const { messages } = await first.response;
  const next = {
    model: fast,
    messages: [{ role: 'user' as const, content: 'hi' }, ...messages, { ...question, role: 'user' as const }],
  };
  expect(await streamText(next).text).toBe('hello');
  expect(lastInput(vendor).input).toContainEqual({ type: 'item_reference', id: item.id });
  fails();
  expect(await streamText(next).text).toBe('and bye');
  expect(lastInput(facade.upstream).messages).toEqual([
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'hello' },
    { role: 'user', content: 'and?' },
  ]);
});

test('items of an unstreamed answer are stored, too, but none with store false', async () => {
  const id = 'msg_real2';
  const reference = { type: 'item_reference', id };
  vendor.play(playEither(events, { ...response, output: [{ ...item, id }] }));
  await send('hi', { store: false });
  fails();
  expect((await send([reference])).status).toBe(400);
  vendor.play(playEither(events, { ...response, output: [{ ...item, id }] }));
  await send('hi');
  fails();
  expect(await send([reference])).toMatchObject({ status: 200, text: expect.stringContaining('and bye') });
});

test('a request for a model of the same wire is passed on, and nothing is stored or looked up', async () => {
  answers();
  keys.length = 0;
  for (const stream of [false, true]) expect((await send(named, { model: 'vendor/gpt-5', stream })).status).toBe(200);
  expect(lastInput(vendor).input).toEqual(named);
  expect(keys).toEqual([]);
});
