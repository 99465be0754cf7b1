import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Attempt } from '../collect.ts';
import { anthropic } from '../wires/anthropic/wire.ts';
import { gemini } from '../wires/gemini/wire.ts';
import { httpProvider } from '../transport/provider.ts';
import type { Wire } from '../transport/wire.ts';
import { ollama } from '../wires/ollama/wire.ts';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import { openAiResponses } from '../wires/openai-responses/wire.ts';
import { askOnce, providerServerAt, generous, smallRequest } from '../test-support/attempt.ts';
import { faultNames, faultsHelp, scenarioOf } from './faults.ts';
import { answerText, answerUsage } from './script.ts';
import { startFaultyUpstream } from './server.ts';
import type { FaultyRequest, FaultyUpstream } from './server.ts';

const wires: readonly Wire[] = [openAiChat, openAiResponses, anthropic, gemini, ollama];
const requests: FaultyRequest[] = [];
let upstream: FaultyUpstream;
beforeAll(async () => {
  upstream = await startFaultyUpstream({ onRequest: (request) => requests.push(request) });
});
beforeEach(() => {
  requests.length = 0;
});
afterAll(() => upstream.close());

/** The provider's endpoint. The base URLs of Chat Completions and Responses have a path. */
const at = (wire: Wire, origin = upstream.url) =>
  providerServerAt(wire.name.startsWith('openai') ? `${origin}/v1` : origin, wire);

async function ask(wire: Wire, model: string, { stream = true, url = upstream.url } = {}): Promise<Attempt> {
  const provider = httpProvider(at(wire, url), generous);
  try {
    return await askOnce(provider, undefined, { ...smallRequest, model, stream });
  } finally {
    await provider.close?.();
  }
}

const whole = { status: 'complete', text: answerText, finishReason: 'stop', usage: answerUsage };

describe.each(wires.map((wire) => [wire.name, wire] as const))('%s', (_name, wire) => {
  test.each(['healthy', 'slow-drip', 'paced@1', 'latency@1', 'huge-chunk@100000'])('%s is an answer', async (model) => {
    expect(await ask(wire, model)).toMatchObject(whole);
    expect(await ask(wire, model, { stream: false })).toMatchObject(whole);
    expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['whole', 'whole']);
    expect(requests).toMatchObject([
      { wire: wire.name, stream: true, scenario: { fault: scenarioOf(model).fault } },
      { wire: wire.name, stream: false },
    ]);
  });

  test('before the first output nothing is told that could be taken for some', async () => {
    for (const model of ['cut-before-output', 'end-before-output', 'overloaded-before-output'])
      expect(await ask(wire, model)).toMatchObject({ status: 'failed', outputBegan: false });
  });

  test('a model that is no fault is refused with all that there are', async () => {
    expect(await ask(wire, 'cut-afteroutput')).toMatchObject({
      status: 'failed',
      error: { code: 'model-not-found', message: expect.stringContaining('cut-after-output') },
    });
  });

  test('it tells of its models as the vendor does', async () => {
    const provider = httpProvider(at(wire), generous);
    const described = await provider.describe(AbortSignal.timeout(20_000));
    await provider.close?.();
    expect(described).toMatchObject({ reachable: true, models: expect.arrayContaining(['acme/healthy']) });
  });
});

test('a client that leaves is told apart from a connection that was cut', async () => {
  await ask(openAiChat, 'cut-before-output');
  const leaving = new AbortController();
  const provider = httpProvider(at(openAiChat), generous);
  const stalled = askOnce(provider, leaving.signal, { ...smallRequest, model: 'stall-before-output' });
  await expect.poll(() => requests.length, { timeout: 20_000 }).toBe(2);
  leaving.abort(new Error('enough'));
  await stalled;
  await provider.close?.();
  expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['cut', 'left']);
});

test("a stream of Anthropic's begins as the vendor's own, with its ping behind that", async () => {
  const body = { model: 'healthy', max_tokens: 10, stream: true, messages: [{ role: 'user', content: 'hi' }] };
  const response = await fetch(`${upstream.url}/v1/messages`, { method: 'POST', body: JSON.stringify(body) });
  const names = [...(await response.text()).matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
  expect(names.slice(0, 4)).toEqual(['message_start', 'content_block_start', 'ping', 'content_block_delta']);
});

test('a handshake fails where TLS is spoken', async () => {
  expect(await ask(anthropic, 'healthy', { url: upstream.tlsUrl })).toMatchObject({
    status: 'failed',
    error: { code: 'provider-failed', message: expect.stringMatching(/SSL|TLS/) },
  });
});

test('one fault for all models, every third time', async () => {
  await using drill = await startFaultyUpstream({ fault: 'http-503', every: 3 });
  const told: string[] = [];
  for (let asked = 0; asked < 6; asked++) told.push((await ask(openAiChat, 'gpt-5', { url: drill.url })).status);
  expect(told).toEqual(['complete', 'complete', 'failed', 'complete', 'complete', 'failed']);
});

test('a fault is told by its name, with an amount where it has one', () => {
  expect(scenarioOf('drill/latency@250')).toEqual({ fault: 'latency', amount: 250 });
  expect(scenarioOf('limited-retry-after')).toEqual({ fault: 'limited-retry-after', amount: 2 });
  for (const wrong of ['', 'toString', 'latency@', 'latency@-1', 'latency@1@2', 'latency@3600001', 'healthy@1'])
    expect(() => scenarioOf(wrong)).toThrow(expect.objectContaining({ code: 'model-not-found' }));
  for (const name of faultNames) expect(faultsHelp()).toContain(`  ${name}`);
});
