import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buckets, gatewayCalls, inlineTextBytesMax } from '@coppice/contracts';
import type { ModelMessage, Outcome, TurnOutput } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { startNatsServer, startProcess, startTraceCollector, temporaryFolder } from '@coppice/testing';
import type { NatsServer, TemporaryFolder } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startLlmGateway } from '../../index.ts';
import { gatewayLimits } from '../../limits.ts';
import { openAiChat } from '../../wires/openai-chat/wire.ts';
import { playError, playStream, startModelServer, textStream } from '../../test-support/model-server.ts';
import type { ModelServer } from '../../test-support/model-server.ts';
import { startOrchestrator } from '../../test-support/orchestrator.ts';
import type { Orchestrator, Turn } from '../../test-support/orchestrator.ts';

const large = 'a large text '.repeat(8_000);
/** Text that exceeds the inline limit for the tool calls of one answer, but not the inline limit for other texts. */
const written = large.slice(0, 40_000);
const tools = [{ name: 'read', description: 'Reads.', parameters: { type: 'object' } }];

let folder: TemporaryFolder;
let nats: NatsServer;
let orchestrator: Orchestrator;
let server: ModelServer;
let gateways: StartedService[] = [];

beforeAll(async () => {
  folder = await temporaryFolder('gateway-conversations');
  await writeFile(
    path.join(folder.path, 'agent.yaml'),
    `
rules:
  - name: after the summary
    when: { contains: "SUMMARY: the first half is done" }
    turns: [{ toolCalls: [{ name: finish, arguments: { summary: all done } }] }]
  - name: agent
    when: { contains: fix the bug }
    turns:
      - { text: I look., toolCalls: [{ name: read, arguments: { path: a.txt } }, { name: run, arguments: '{"command": ' }] }
      - { toolCalls: [{ name: write, arguments: { path: b.txt, content: ${JSON.stringify(written)} } }, { name: list }], usage: { inputTokens: 90000 } }
      - { text: "SUMMARY: the first half is done" }
      - { text: "" }
  - name: many
    when: { contains: many }
    turns: [{ toolCalls: [${Array.from({ length: 20 }, () => `{ name: write, arguments: { content: ${JSON.stringify(large.slice(0, 10_000))} } }`).join(', ')}] }]
`,
  );
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  server = await startModelServer();
});
afterEach(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  gateways = [];
  server.requests.length = 0;
});
afterAll(async () => {
  await orchestrator.close();
  await server.close();
  await nats.stop();
  await folder.remove();
});

async function startGateway(): Promise<StartedService> {
  const gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) =>
      startLlmGateway(context, {
        scriptFolders: [folder.path],
        providerServers: [{ name: 'acme', wire: openAiChat, baseUrl: server.baseUrl, key: 'k', keyRequired: null }],
      }),
  });
  gateways.push(gateway);
  return gateway;
}

let tasks = 0;
/** Creates a task in which each model call continues the one before. */
function newTask(model: string) {
  const taskId = `t${'c'.repeat(14)}${String.fromCodePoint(97 + tasks++)}`;
  let turns = 0;
  let last: string | null = null;
  const runTurn = async (messages: ModelMessage[], rest: Partial<Turn> = {}): Promise<Outcome> => {
    const effectId = `task_${taskId}_1_${++turns}`;
    const continued = last === null ? {} : { continues: last };
    await orchestrator.order({ effectId, taskId, model, prompt: '', messages, tools, ...continued, ...rest });
    const outcome = await orchestrator.resultOf(effectId);
    if (outcome.status === 'done') last = effectId;
    return outcome;
  };
  const answer = async (messages: ModelMessage[], rest: Partial<Turn> = {}): Promise<TurnOutput> => {
    const outcome = await runTurn(messages, rest);
    expect(outcome).toMatchObject({ status: 'done' });
    return (outcome as { output: TurnOutput }).output;
  };
  return { taskId, runTurn, answer };
}

const user = (text: string): ModelMessage => ({ role: 'user', content: [{ type: 'text', text }] });
const results = (...all: [callId: string, text: string][]): ModelMessage => ({
  role: 'tool',
  content: all.map(([callId, text]) => ({
    type: 'tool-result',
    callId,
    name: 'read',
    content: { text },
    isError: false,
  })),
});

test("an answer that is cut because the task's budget is used up is an error, and charged", async () => {
  await startGateway();
  server.play(playStream(textStream('half of it', 'length')));
  const outcome = await newTask('acme/one').runTurn([user('hi')], { limits: { task: { tokens: 600 }, run: {} } });
  const sentMaximum = (server.requests[0]?.body as { max_tokens?: number } | undefined)?.max_tokens;
  expect(sentMaximum).toBeGreaterThan(256);
  expect(sentMaximum).toBeLessThan(600);
  expect(outcome).toMatchObject({
    status: 'failed',
    error: {
      code: 'limit-exceeded',
      message: expect.stringContaining(`acme/one's answer was cut after ${sentMaximum} tokens: the limit of task t`),
      retryable: false,
      details: { limit: { tokens: 600 }, usage: { inputTokens: 11, outputTokens: 3 } },
    },
  });
});

test('an agent with the scripted model can make tool calls, malformed ones, a summary, a new conversation and an empty answer', async () => {
  await startGateway();
  const { taskId, answer } = newTask('scripted/agent.yaml');
  const first = await answer([user('fix the bug')]);
  expect(first).toMatchObject({
    turnId: `task_${taskId}_1_1`,
    text: { text: 'I look.' },
    finishReason: 'tool-calls',
    toolCalls: [
      { name: 'read', arguments: { text: '{"path":"a.txt"}' } },
      { name: 'run', arguments: { text: '{"command": ' } },
    ],
  });
  const ids = first.toolCalls.map((call) => call.id);
  expect(new Set(ids).size).toBe(2);

  const second = await answer([
    results([ids[0] ?? '', 'fix the SUMMARY: the first half is done'], [ids[1] ?? '', 'not JSON']),
  ]);
  expect(second.usage.inputTokens).toBe(90_000);
  const [writing, listed] = second.toolCalls;
  expect(second.text).toEqual({ text: '' });
  expect(writing?.arguments).toHaveProperty('artifact');
  expect(listed?.arguments).toEqual({ text: '{}' });
  const artifact = (writing?.arguments as { artifact: string } | undefined)?.artifact ?? '';
  const stored = await (await orchestrator.bus.objects(buckets.artifacts)).get(artifact);
  expect(JSON.parse(new TextDecoder().decode(stored ?? undefined))).toEqual({ path: 'b.txt', content: written });

  const summary = await answer([user('Summarise.')]);
  expect(summary).toMatchObject({
    text: { text: 'SUMMARY: the first half is done' },
    toolCalls: [],
    finishReason: 'stop',
  });
  expect(await answer([user('Go on.')])).toMatchObject({ text: { text: '' }, toolCalls: [], finishReason: 'stop' });

  const fresh = newTask('scripted/agent.yaml');
  const done = await fresh.answer([user('fix the bug'), user('SUMMARY: the first half is done')]);
  expect(done).toMatchObject({ toolCalls: [{ name: 'finish' }] });
  expect(await orchestrator.transcript(taskId)).toMatchObject([
    { continues: null },
    { continues: `task_${taskId}_1_1` },
    { continues: `task_${taskId}_1_2` },
    { continues: `task_${taskId}_1_3` },
  ]);
});

test('an answer with many tool calls of medium size fits in a message', async () => {
  await startGateway();
  const { toolCalls } = await newTask('scripted/agent.yaml').answer([user('many')]);
  expect(toolCalls).toHaveLength(20);
  const byValue = toolCalls.filter((call) => 'text' in call.arguments);
  expect(byValue.length).toBeGreaterThan(0);
  expect(byValue.length).toBeLessThan(6);
});

test('an answer whose ids together are too long for a message is an error, and charged', async () => {
  await startGateway();
  const count = Math.ceil(gatewayLimits.inlineBytesMax / gatewayLimits.answerIdCharactersMax) + 1;
  const calls = Array.from({ length: count }, (_, index) => ({
    index,
    id: String(index).padEnd(gatewayLimits.answerIdCharactersMax, 'x'),
    type: 'function',
    function: { name: 'read', arguments: '{}' },
  }));
  const calling = { model: 'm', choices: [{ delta: { tool_calls: calls }, finish_reason: 'tool_calls' }] };
  const usageAndEnd = textStream('').slice(-2);
  server.play(playStream([calling, ...usageAndEnd]));
  expect(await newTask('acme/m').runTurn([user('hi')])).toMatchObject({
    status: 'failed',
    error: {
      code: 'limit-exceeded',
      message: `the answer is over the limit of ${gatewayLimits.inlineBytesMax} bytes`,
      retryable: false,
      details: { usage: { inputTokens: 11, outputTokens: 3 } },
    },
  });
});

test('a conversation continues in another process in the same way as in the one that began it', async () => {
  const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'read', arguments: '{"path":"a.txt"}' } };
  const calling = [
    {
      model: 'm',
      choices: [{ index: 0, delta: { content: 'I look.', tool_calls: [call] }, finish_reason: 'tool_calls' }],
    },
  ];
  const wireCall = { id: 'call_1', type: 'function', function: call.function };
  const allMessages = [
    { role: 'system', content: 'You code.' },
    { role: 'user', content: large },
    { role: 'assistant', content: 'I look.', tool_calls: [wireCall] },
    { role: 'tool', tool_call_id: 'call_1', content: 'abc' },
    { role: 'assistant', content: 'It is fine.' },
    { role: 'user', content: 'Sure?' },
  ];
  const objects = await orchestrator.bus.objects(buckets.artifacts);
  await objects.put('prompt/large', new TextEncoder().encode(large));
  for (const changing of [false, true]) {
    server.requests.length = 0;
    server.play(playStream(calling), playStream(textStream('It is fine.')), playStream(textStream('Yes.')));
    const { answer } = newTask('acme/m');
    let gateway = await startGateway();
    const inAnother = async () => {
      if (!changing) return;
      await gateway.stop();
      gateway = await startGateway();
    };
    const prompt: ModelMessage = { role: 'user', content: [{ type: 'text-artifact', artifact: 'prompt/large' }] };
    await answer([{ role: 'system', content: [{ type: 'text', text: 'You code.' }] }, prompt]);
    await inAnother();
    await answer([results(['call_1', 'abc'])]);
    await inAnother();
    expect(await answer([user('Sure?')])).toMatchObject({
      text: { text: 'Yes.' },
      usage: { inputTokens: 11, outputTokens: 3 },
    });
    const sentMessages = server.requests.map(({ body }) => (body as { messages: unknown[] }).messages);
    expect(sentMessages).toEqual([allMessages.slice(0, 2), allMessages.slice(0, 4), allMessages]);
    expect(server.requests[2]?.body).toMatchObject({ tools: [{ type: 'function', function: tools[0] }] });
    await gateway.stop();
  }
});

/** Returns the estimated tokens of the messages and the tools, at four bytes per token. */
const estimated = (saidBytes: number): number => Math.ceil((saidBytes + JSON.stringify(tools).length) / 4);

test('the usage of a turn is estimated if the provider reports none, so that budgets and compaction work', async () => {
  await startGateway();
  server.play(playStream([{ model: 'm', choices: [{ delta: { content: 'x'.repeat(40) }, finish_reason: 'stop' }] }]));
  const task = newTask('acme/m');
  expect((await task.answer([user('y'.repeat(400))])).usage).toEqual({
    inputTokens: estimated(400),
    outputTokens: 10,
    costUsd: null,
  });
  expect((await task.answer([user('y'.repeat(400))])).usage).toMatchObject({ inputTokens: estimated(840) });
});

test('a turn that continues a missing one fails without a request to a provider', async () => {
  await startGateway();
  expect(await newTask('acme/m').runTurn([user('x')], { continues: 'task_none_1_1' })).toMatchObject({
    status: 'failed',
    error: { code: 'not-found', message: expect.stringContaining('task_none_1_1') },
  });
  expect(server.requests).toEqual([]);
});

test('the gateway lists its providers', async () => {
  await startGateway();
  server.play(playError(200, { data: [{ id: 'small' }] }));
  const { providers } = await orchestrator.bus.call(gatewayCalls.providers, { service: 'llm-gateway' }, {});
  expect(providers).toEqual([
    {
      name: 'scripted',
      host: null,
      keyPresent: false,
      reachable: null,
      models: [],
      problem: null,
      scriptFolders: [folder.path],
    },
    {
      name: 'acme',
      host: new URL(server.baseUrl).host,
      keyPresent: true,
      reachable: true,
      models: ['acme/small'],
      problem: null,
    },
  ]);
});

test('no log, span, result or stored message contains a key, even if the provider repeats it', async () => {
  const key = 'key-of-no-known-form-1234';
  await using collector = await startTraceCollector();
  await using gateway = startProcess(path.join(import.meta.dirname, '../../main.ts'), [], {
    ...nats.environment,
    ...collector.environment,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'debug',
    COPPICE_OPENAI_PROVIDERS: `local=${server.baseUrl}`,
    COPPICE_OPENAI_KEY_LOCAL: key,
  });
  await gateway.waitForLine('"msg":"started"');
  const quoting = { error: { message: `no such key: ${key}`, code: key } };
  const outcomes: unknown[] = [];
  for (const answer of [
    playError(401, quoting),
    playError(400, `bad ${key}`),
    playStream([{ error: { ...quoting.error, type: 'invalid_request_error' } }]),
  ]) {
    server.play(answer);
    outcomes.push(await newTask('local/m').runTurn([user('x')]));
  }
  server.play(playStream(textStream('hello')));
  const { taskId, answer } = newTask('local/m');
  await answer([user('x'.repeat(inlineTextBytesMax + 1))]);
  server.play(playError(401, quoting));
  outcomes.push(await orchestrator.bus.call(gatewayCalls.providers, { service: 'llm-gateway' }, {}));
  expect(JSON.stringify(outcomes)).toContain('[redacted]');
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(
    server.requests.map(() => `Bearer ${key}`),
  );

  gateway.signal('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
  expect(collector.spans.some(({ name }) => name === 'chat m')).toBe(true);
  const recorded = [outcomes, collector.spans, gateway.lines, await orchestrator.transcript(taskId)];
  expect(JSON.stringify(recorded)).not.toContain(key);
});
