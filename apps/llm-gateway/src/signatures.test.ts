/**
 * Tests that a provider gets its own signatures back unchanged, also from the transcript. No other provider may get
 * them.
 */
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import type { ModelMessage, TurnOutput } from '@coppice/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startLlmGateway } from './index.ts';
import { gemini } from './wires/gemini/wire.ts';
import { openAiResponses } from './wires/openai-responses/wire.ts';
import { playStream, startModelServer } from './test-support/model-server.ts';
import type { ModelServer } from './test-support/model-server.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import type { Orchestrator } from './test-support/orchestrator.ts';

let nats: NatsServer;
let orchestrator: Orchestrator;
let server: ModelServer;

beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  server = await startModelServer();
});
beforeEach(() => {
  server.requests.length = 0;
});
afterAll(async () => {
  await orchestrator.close();
  await server.close();
  await nats.stop();
});

const startGateway = (): Promise<StartedService> =>
  startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) => {
      const { baseUrl } = server;
      const known = { key: 'k', keyRequired: null };
      return startLlmGateway(context, {
        scriptFolders: [],
        providerServers: [
          { name: 'openai-responses', wire: openAiResponses, baseUrl, ...known },
          { name: 'gemini', wire: gemini, baseUrl: new URL(baseUrl).origin, ...known },
        ],
      });
    },
  });

const tools = [{ name: 'list', description: 'Lists.', parameters: { type: 'object' } }];
const result = (callId: string): ModelMessage => ({
  role: 'tool',
  content: [{ type: 'tool-result', callId, name: 'list', content: { text: 'a.txt' }, isError: false }],
});

const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAA/+==' };
const responses = [
  { type: 'response.created', response: { id: 'resp_1', model: 'gpt-5' } },
  {
    type: 'response.completed',
    response: {
      status: 'completed',
      output: [
        reasoning,
        { type: 'message', content: [{ type: 'output_text', text: 'I look.' }] },
        { type: 'function_call', call_id: 'call_1', name: 'list', arguments: '{}' },
      ],
    },
  },
];
const parts = [
  { text: 'hm', thought: true, thoughtSignature: 's0/+==' },
  { text: 'I look.', thoughtSignature: 's1/+==' },
  { functionCall: { id: 'call_1', name: 'list', args: {} }, thoughtSignature: 's2/+==' },
];
const content = [{ candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP' }] }];

test.each([
  {
    taskId: `t${'d'.repeat(14)}a`,
    model: 'openai-responses/gpt-5',
    answer: responses,
    givenBack: {
      input: expect.arrayContaining([
        reasoning,
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look.' }] },
        { type: 'function_call', call_id: 'call_1', name: 'list', arguments: '{}' },
      ]),
    },
    other: 'gemini/gemini-2.5-flash',
  },
  {
    taskId: `t${'d'.repeat(14)}b`,
    model: 'gemini/gemini-3-pro',
    answer: content,
    givenBack: { contents: expect.arrayContaining([{ role: 'model', parts }]) },
    other: 'openai-responses/gpt-5',
  },
])('$model', async ({ taskId, model, answer, givenBack, other }) => {
  server.play(playStream(answer));
  const turn = async (number: number, messages: ModelMessage[], requestedModel = model): Promise<TurnOutput> => {
    const effectId = `task_${taskId}_1_${number}`;
    const continues = number === 1 ? {} : { continues: `task_${taskId}_1_${number - 1}` };
    await orchestrator.order({ effectId, taskId, model: requestedModel, prompt: '', messages, tools, ...continues });
    const outcome = await orchestrator.resultOf(effectId);
    expect(outcome).toMatchObject({ status: 'done' });
    return (outcome as { output: TurnOutput }).output;
  };
  let gateway = await startGateway();
  await turn(1, [{ role: 'user', content: [{ type: 'text', text: 'go' }] }]);
  await turn(2, [result('call_1')]);
  expect(server.requests[1]?.body).toMatchObject(givenBack);

  // The new gateway has an empty cache, so it reads the transcript.
  await gateway.stop();
  gateway = await startGateway();
  await turn(3, [result('call_1')]);
  expect(server.requests[2]?.body).toMatchObject(givenBack);

  server.play(playStream(other.startsWith('gemini') ? content : responses));
  await turn(4, [result('call_1')], other);
  const sent = JSON.stringify(server.requests[3]?.body);
  expect(sent).toContain('I look.');
  expect(sent).not.toContain('/+==');
  await gateway.stop();
});
