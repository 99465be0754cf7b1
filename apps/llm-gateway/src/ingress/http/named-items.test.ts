/**
 * Tests items that a client references by id. The client is the AI SDK with default options, and the models have other
 * wire formats.
 */
import { createOpenAI } from '@ai-sdk/openai';
import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import type { ModelMessage, ToolSet } from 'ai';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { anthropic } from '../../wires/anthropic/wire.ts';
import { httpProvider } from '../../transport/provider.ts';
import { generous } from '../../test-support/attempt.ts';
import { startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { KeptItems } from './kept-items.ts';
import { grant, startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';
import { playEither, wholeCompletion } from './test-support/upstream.ts';

let nats: NatsServer;
let bus: Bus;
let thinker: ModelServer;
let facade: TestFacade;
let another: TestFacade;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'named-items' });
  await bus.ensureResources();
  const items = new KeptItems(bus.keyValue(buckets.llmItems), { error: () => {} });
  thinker = await startModelServer();
  const baseUrl = new URL(thinker.baseUrl).origin;
  const providerServer = { name: 'anthropic', wire: anthropic, baseUrl, key: 'k', keyRequired: null };
  facade = await startTestFacade({ items, providers: [httpProvider(providerServer, generous)] });
  another = await startTestFacade({ items, grant: { ...grant, tenant: 'another' } });
});
beforeEach(() => {
  for (const { upstream } of [facade, another])
    upstream.play(playEither(textStream('hello'), wholeCompletion({ content: 'hello' })));
});
afterAll(async () => {
  await facade[Symbol.asyncDispose]();
  await another[Symbol.asyncDispose]();
  await thinker.close();
  await bus.close();
  await nats.stop();
});

const model = (name = 'acme/acme-1') => createOpenAI({ apiKey: token, baseURL: `${facade.url}/v1` })(name);
const lastRequest = ({ requests }: ModelServer) => requests.at(-1)?.body as { messages: unknown[] };

test.each(['a stream', 'a whole answer'])('two turns go on: %s', async (how) => {
  const turn = async (messages: ModelMessage[]): Promise<ModelMessage[]> => {
    if (how !== 'a stream') return (await generateText({ model: model(), messages })).response.messages;
    const result = streamText({ model: model(), messages });
    expect(await result.text).toBe('hello');
    return (await result.response).messages;
  };
  const hi: ModelMessage = { role: 'user', content: 'hi' };
  const answered = await turn([hi]);
  await turn([hi, ...answered, { role: 'user', content: 'and?' }]);
  expect(lastRequest(facade.upstream).messages).toEqual([
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'hello' },
    { role: 'user', content: 'and?' },
  ]);
});

test('a tool loop continues, and thinking is sent back to the model that signed it', async () => {
  const thought = { type: 'thinking', thinking: 'Hm.', signature: 'c2ln' };
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'x',
    usage: { input_tokens: 1, output_tokens: 1 },
  };
  const call = { type: 'tool_use', id: 'c0', name: 'read', input: {} };
  thinker.play((response, { body }) => {
    const goesOn = (body as { messages: unknown[] }).messages.length > 1;
    const ending = goesOn
      ? { content: [{ type: 'text', text: 'done' }], stop_reason: 'end_turn' }
      : { content: [thought, call], stop_reason: 'tool_use' };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...message, ...ending }));
  });
  const inputSchema = jsonSchema({ type: 'object' as const, properties: {} });
  const read = tool({ description: 'Reads.', inputSchema, execute: async () => 'a text' });
  // The AI SDK's types aren't compatible with exactOptionalPropertyTypes.
  const tools = { read } as unknown as ToolSet;
  const options = { model: model('anthropic/claude-sonnet-4-5'), prompt: 'go', tools, stopWhen: stepCountIs(3) };
  expect((await generateText(options)).text).toBe('done');
  expect(lastRequest(thinker).messages[1]).toEqual({ role: 'assistant', content: [thought, call] });
});

const named = (id: string) => ({ type: 'item_reference', id });

type ResponseBody = { output: [{ id: string }]; error: { message: string } };

async function sendInput(
  { url }: TestFacade,
  input: unknown,
  more: object = {},
): Promise<{ status: number; body: ResponseBody }> {
  const response = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'acme/acme-1', input, ...more }),
  });
  return { status: response.status, body: (await response.json()) as ResponseBody };
}

test('a client that references an item while the bucket is unavailable gets a retryable error, and others an answer', async () => {
  const away = () => Promise.reject(new Error('away'));
  const items = new KeptItems({ get: away, put: away }, { error: () => {} });
  await using without = await startTestFacade({ items });
  without.upstream.play(playEither(textStream('hello'), wholeCompletion({ content: 'hello' })));
  const first = await sendInput(without, 'hi');
  expect(first.status).toBe(200);
  const { status, body } = await sendInput(without, [named(first.body.output[0].id)]);
  expect(status).toBe(503);
  expect(body.error.message).toContain('send the request again');
});

const answerId = async (more: object = {}): Promise<string> => (await sendInput(facade, 'hi', more)).body.output[0].id;
test('only its own tenant can reference an item, only stored items can be referenced, and an item that is referenced twice is sent once', async () => {
  const id = await answerId();
  const hello = { role: 'assistant', content: 'hello' };
  for (const input of [[named(id)], [named(id), named(id)]]) {
    expect((await sendInput(facade, input)).status).toBe(200);
    expect(lastRequest(facade.upstream).messages).toEqual([hello]);
  }
  const refused = [
    await sendInput(another, [named(id)]),
    await sendInput(facade, [named(id.replace(/_\d+$/, '_7'))]),
    await sendInput(facade, [named(`msg_coppice_${'0'.repeat(32)}_0`)]),
    await sendInput(facade, [named(await answerId({ store: false }))]),
  ];
  for (const { status, body } of refused) {
    expect(status).toBe(400);
    expect(body.error.message).toContain('store: false');
  }
});
