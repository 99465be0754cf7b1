/** Tests the gateway's providers with the faulty upstream, in every wire format. */
import { answerText, answerUsage, startFaultyUpstream } from '@coppice/faulty-upstream';
import type { FaultyRequest, FaultyUpstream } from '@coppice/faulty-upstream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Attempt } from './collect.ts';
import { anthropic } from './wires/anthropic/wire.ts';
import { gemini } from './wires/gemini/wire.ts';
import { httpProvider } from './transport/provider.ts';
import type { Wire } from './transport/wire.ts';
import { ollama } from './wires/ollama/wire.ts';
import { openAiChat } from './wires/openai-chat/wire.ts';
import { openAiResponses } from './wires/openai-responses/wire.ts';
import { callOnce, providerServerAt, generous, smallRequest } from './test-support/attempt.ts';

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

/** The base URLs of OpenAI's wire formats have a path. */
const at = (wire: Wire, origin = upstream.url) =>
  providerServerAt(wire.name.startsWith('openai') ? `${origin}/v1` : origin, wire);

async function callUpstream(wire: Wire, model: string, { stream = true, url = upstream.url } = {}): Promise<Attempt> {
  const provider = httpProvider(at(wire, url), generous);
  try {
    return await callOnce(provider, undefined, { ...smallRequest, model, stream });
  } finally {
    await provider.close?.();
  }
}

const whole = { status: 'complete', text: answerText, finishReason: 'stop', usage: answerUsage };

describe.each(wires.map((wire) => [wire.name, wire] as const))('%s', (_name, wire) => {
  test.each(['healthy', 'slow-drip', 'paced@1', 'latency@1', 'huge-chunk@100000'])('%s is an answer', async (model) => {
    expect(await callUpstream(wire, model)).toMatchObject(whole);
    expect(await callUpstream(wire, model, { stream: false })).toMatchObject(whole);
    expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['whole', 'whole']);
    expect(requests).toMatchObject([
      { wire: wire.name, stream: true, scenario: { fault: model.split('@')[0] } },
      { wire: wire.name, stream: false },
    ]);
  });

  test('nothing that could be mistaken for output is sent before the first output', async () => {
    for (const model of ['cut-before-output', 'end-before-output', 'overloaded-before-output'])
      expect(await callUpstream(wire, model)).toMatchObject({ status: 'failed', outputBegan: false });
  });

  test('a model that is not a fault is rejected with a list of all faults', async () => {
    expect(await callUpstream(wire, 'cut-afteroutput')).toMatchObject({
      status: 'failed',
      error: { code: 'model-not-found', message: expect.stringContaining('cut-after-output') },
    });
  });

  test('models are listed as the vendor lists them', async () => {
    const provider = httpProvider(at(wire), generous);
    const described = await provider.describe(AbortSignal.timeout(20_000));
    await provider.close?.();
    expect(described).toMatchObject({ reachable: true, models: expect.arrayContaining(['acme/healthy']) });
  });
});

test('the handshake fails at the address with TLS', async () => {
  expect(await callUpstream(anthropic, 'healthy', { url: upstream.tlsUrl })).toMatchObject({
    status: 'failed',
    error: { code: 'provider-failed', message: expect.stringMatching(/SSL|TLS/) },
  });
});
