/** Tests the whole stack with a small real model. The gateway must pass its answers on unchanged, even bad ones. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Bus } from '@coppice/bus';
import { chatApi, chatLimits, chatMessageSchema, streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { ChatMessage, TaskView } from '@coppice/contracts';
import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';
import { whyWithoutToolchain } from '../support/toolchains.ts';
import { startLlamaServer } from './llama-cpp/server.ts';
import type { LlamaServer } from './llama-cpp/server.ts';

const missing = await whyWithoutToolchain('llama-cpp');
const engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';
const tenant = 'default';
const wires = ['openai-chat', 'openai-responses', 'anthropic'] as const;
/** Temperature 0 makes answers reproducible. */
const settings = { temperature: 0, maxOutputTokens: 40 };
const question = 'What is the capital of France?';
const messages = [{ role: 'user' as const, content: [{ type: 'text' as const, text: question }] }];

let llama: LlamaServer | undefined;
let folder: TemporaryFolder | undefined;
let stack: Stack;
let operator: Bus;
beforeAll(async () => {
  if (missing !== null) return;
  llama = await startLlamaServer();
  folder = await temporaryFolder('real-model');
  const file = path.join(folder.path, 'gateway.yaml');
  const provider = (wire: string) =>
    `  ${wire}: { wire: ${wire}, baseUrl: ${llama?.url}${wire === 'anthropic' ? '' : '/v1'} }\n`;
  await writeFile(file, `providers:\n${wires.map(provider).join('')}`);
  stack = await Stack.start({
    engine,
    script: 'default: { turns: [] }',
    environment: { COPPICE_GATEWAY_CONFIG: file },
  });
  operator = await Bus.connect({
    servers: stack.nats.url,
    ...stack.users.credentials('operator'),
    name: 'operator',
  });
}, 900_000);
afterAll(async () => {
  await operator?.close();
  await stack?.stop();
  await llama?.[Symbol.asyncDispose]();
  await folder?.remove();
});
beforeEach((context) => {
  if (missing !== null) context.skip(missing);
});

/** Returns the server's answer without Coppice. */
async function saidDirectly(): Promise<string> {
  const response = await fetch(`${llama?.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smollm2',
      messages: [{ role: 'user', content: question }],
      temperature: settings.temperature,
      max_tokens: settings.maxOutputTokens,
    }),
  });
  const answer = (await response.json()) as { choices: { message: { content: string } }[] };
  return answer.choices[0]?.message.content ?? '';
}

test.each(wires)('an answer by %s is that of the server, whole and streamed', { timeout: 120_000 }, async (wire) => {
  const expected = await saidDirectly();
  expect(expected).not.toBe('');
  const input = { model: `${wire}/smollm2`, messages, settings };
  const whole = await operator.call(chatApi.chat, { tenant }, { ...input, stream: false });
  expect(whole.message.content).toEqual([{ type: 'text', text: expected }]);
  const heard: ChatMessage[] = [];
  const request = { method: chatApi.chat, target: { tenant }, input, message: chatMessageSchema };
  for await (const message of operator.callStreamed({ ...request, silenceMsMax: chatLimits.lostAfterMs })) {
    heard.push(message);
    if (message.type === 'result') break;
  }
  const pieces = heard.flatMap((message) => (message.type === 'text-delta' ? [message.text] : []));
  expect(pieces.join('')).toBe(expected);
  expect(pieces.length).toBeGreaterThan(1);
  for (const end of [whole, heard.at(-1)]) {
    expect(end).toMatchObject({ provider: wire, model: 'smollm2', attempts: 1, cached: false });
    const { inputTokens, outputTokens } = (end as typeof whole).usage;
    expect(inputTokens).toBeGreaterThan(10);
    expect(outputTokens).toBeGreaterThan(pieces.length / 2);
  }
});

test('an answer for a schema matches the schema', { timeout: 120_000 }, async () => {
  const schema = {
    type: 'object',
    properties: { city: { type: 'string', maxLength: 20 }, inEurope: { type: 'boolean' } },
    required: ['city', 'inEurope'],
    additionalProperties: false,
  };
  const responseFormat = { type: 'json-schema' as const, name: 'answer', schema };
  const input = { model: 'openai-chat/smollm2', messages, settings: { ...settings, responseFormat }, stream: false };
  const { message } = await operator.call(chatApi.chat, { tenant }, input);
  const [part] = message.content;
  const answer: unknown = JSON.parse(part?.type === 'text' ? part.text : '');
  expect(answer).toEqual({ city: expect.any(String) as unknown, inEurope: expect.any(Boolean) as unknown });
});

test.each(wires)('after examples of calls, the model calls the tool, by %s', { timeout: 120_000 }, async (wire) => {
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const tools = [{ name: 'weather', description: 'Returns the weather of a city.', parameters }];
  const before = { Rome: 'sunny', Oslo: 'rain' };
  const conversation = Object.entries(before).flatMap(([city, weather]) => {
    const call = { id: `call-${city}`, name: 'weather', arguments: { text: JSON.stringify({ city }) } };
    const result = { callId: call.id, name: 'weather', content: { text: weather }, isError: false };
    return [
      weatherIn(city),
      { role: 'assistant' as const, content: [{ type: 'tool-call' as const, ...call }] },
      { role: 'tool' as const, content: [{ type: 'tool-result' as const, ...result }] },
    ];
  });
  const input = { model: `${wire}/smollm2`, messages: [...conversation, weatherIn('Paris')], tools, settings };
  const { message, finishReason } = await operator.call(chatApi.chat, { tenant }, { ...input, stream: false });
  const calls = message.content.flatMap((part) => (part.type === 'tool-call' ? [part] : []));
  expect([finishReason, calls.map(({ name }) => name)]).toEqual(['tool-calls', ['weather']]);
  const weatherArguments = calls[0]?.arguments;
  expect(JSON.parse(weatherArguments !== undefined && 'text' in weatherArguments ? weatherArguments.text : '')).toEqual(
    { city: 'Paris' },
  );
});

const weatherIn = (city: string) => ({
  role: 'user' as const,
  content: [{ type: 'text' as const, text: `What is the weather in ${city}?` }],
});

test("a task of the kind `prompt` lands the model's answer", { timeout: 180_000 }, async () => {
  await using repository = await temporaryRepository();
  const view = await endedTask(repository.path, {
    prompt: `${question} Answer in one short sentence.`,
    agent: { kind: 'prompt', file: 'CAPITAL.md' },
    verify: 'test -s CAPITAL.md',
  });
  expect([view.state, view.reason]).toEqual(['merged', null]);
  expect((await repository.show('CAPITAL.md', 'main'))?.trim()).not.toBe('');
  expect(view.usage.outputTokens).toBeGreaterThan(0);
});

test('the turns of an agent with tools are counted and stored', { timeout: 300_000 }, async () => {
  await using repository = await temporaryRepository({ files: { 'greeting.txt': 'hello\n' } });
  const view = await endedTask(repository.path, {
    prompt: 'Write the word good-bye into the file greeting.txt.',
    agent: { kind: 'loop', turns: 3, contextTokens: 8_000 },
    verify: 'true',
  });
  // The task may fail, but not because of the provider.
  expect(view.reason ?? '').not.toContain('openai-chat');
  const turns = (await stack.events(view.runId)).filter(({ type }) => type === 'coppice.task-turn');
  expect(turns.length).toBeGreaterThan(0);
  expect([view.modelTurns, view.modelTurnsUnknown]).toEqual([turns.length, 0]);
  const kept: string[] = [];
  for await (const message of stack.bus.read(streams.transcripts, subjects.transcript(tenant, view.taskId))) {
    const { output, model } = transcriptEntrySchema.parse(message.json());
    expect([model, output.responseModel]).toEqual(['openai-chat/smollm2', 'smollm2']);
    kept.push(output.turnId);
  }
  expect(kept).toEqual(turns.map(({ data }) => (data as { turnId: string }).turnId));
  expect(view.usage.inputTokens).toBeGreaterThan(100);
});

async function endedTask(repository: string, task: object): Promise<TaskView> {
  const described = { name: 'one', description: 'Do it', model: 'openai-chat/smollm2', ...task };
  const { runId, tasks } = await stack.submit({ repository, baseBranch: 'main', tasks: [described] });
  await stack.ended(runId, 280_000);
  return stack.task(tasks[0]?.taskId ?? '');
}
