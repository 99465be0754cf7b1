import { gatewayCalls } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLlmGateway } from '../index.ts';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import { playError, playStream, startModelServer, textStream } from '../test-support/model-server.ts';
import type { ModelServer } from '../test-support/model-server.ts';
import { startOrchestrator } from '../test-support/orchestrator.ts';
import type { Orchestrator } from '../test-support/orchestrator.ts';

/** Tests model calls by alias, as a task makes them. */
let nats: NatsServer;
let orchestrator: Orchestrator;
let first: ModelServer;
let second: ModelServer;
let gateway: StartedService;

beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  [orchestrator, first, second] = await Promise.all([startOrchestrator(nats), startModelServer(), startModelServer()]);
  const providerServer = (name: string, { baseUrl }: ModelServer) => ({
    name,
    wire: openAiChat,
    baseUrl,
    key: null,
    keyRequired: null,
  });
  gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) =>
      startLlmGateway(context, {
        providerServers: [providerServer('first', first), providerServer('second', second)],
        aliases: [{ name: 'fast', candidates: ['first/one', 'second/two'], strategy: 'order' }],
        prices: [{ model: 'second/*', input: 1_000, output: 10_000 }],
      }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await orchestrator.close();
  await Promise.all([first.close(), second.close()]);
  await nats.stop();
});

test('another provider answers, and the turn reports which, after how many attempts, and what it cost', async () => {
  first.play(playError(503, { error: { message: 'overloaded' } }));
  second.play(playStream(textStream('hello')));
  const [taskId, effectId] = [`t${'a'.repeat(16)}`, `task_t${'a'.repeat(16)}_1_1`];
  await orchestrator.order({ effectId, taskId, model: 'fast', prompt: 'hi' });
  const outcome = await orchestrator.resultOf(effectId);
  expect(outcome).toMatchObject({
    status: 'done',
    output: {
      text: { text: 'hello' },
      provider: 'second',
      attempts: 2,
      // The price is 1,000 dollars per million input tokens, and 10,000 dollars per million output tokens.
      usage: { inputTokens: 11, outputTokens: 3, costUsd: 0.041 },
    },
  });
  expect(await orchestrator.transcript(taskId)).toMatchObject([{ model: 'fast', output: { provider: 'second' } }]);
});

test('aliases are listed, and checked as models are', async () => {
  const to = { service: 'llm-gateway' };
  first.play(playError(200, { data: [] }));
  second.play(playError(200, { data: [] }));
  expect(await orchestrator.bus.call(gatewayCalls.providers, to, {})).toMatchObject({
    aliases: [{ name: 'fast', candidates: ['first/one', 'second/two'], strategy: 'order' }],
  });
  const models = ['fast', 'fast@second', 'fast@third', 'slow'];
  const { problems } = await orchestrator.bus.call(gatewayCalls.checkModels, to, { models });
  expect(problems.map(({ model }) => model)).toEqual(['fast@third', 'slow']);
});
