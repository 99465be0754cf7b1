/**
 * Tests every fault in every provider's wire format, through every endpoint, with and without another provider.
 *
 * The result must be either the correct answer, or one explicit error with the correct code and status. It must never
 * be a truncated answer that looks complete.
 */
import { chatApi, gatewayCalls, toWireError } from '@coppice/contracts';
import type { Outcome } from '@coppice/contracts';
import { startFaultyUpstream } from '@coppice/faulty-upstream';
import type { FaultyRequest, FaultyUpstream } from '@coppice/faulty-upstream';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLlmGateway } from './index.ts';
import { endpointFormats } from './ingress/http/endpoint-formats.ts';
import type { EndpointFormat } from './ingress/http/endpoint-formats.ts';
import type { WireName } from './wires/registry.ts';
import { wireNames } from './wires/registry.ts';
import { expectationOf, isOdd, matrixFaults } from './test-support/fault-expectations.ts';
import { answerProblems, requestProblems, chatProblems, turnProblems } from './test-support/fault-problems.ts';
import { sendChat, sendWholeChat } from './test-support/chat-client.ts';
import { callEndpoint } from './test-support/endpoint-client.ts';
import { FaultyProviders } from './test-support/faulty-providers.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import type { Orchestrator } from './test-support/orchestrator.ts';

const endpoints = ['turn', 'bus', 'bus, whole', 'http', 'http, whole', 'http, other format'] as const;

type Way = {
  endpoint: (typeof endpoints)[number];
  /** True if another provider can answer instead. */
  rescued: boolean;
};
/** Longer than the time limits of the providers. */
const hangsAfterMs = 120_000;
const ways: readonly Way[] = endpoints.flatMap((endpoint) => [
  { endpoint, rescued: false },
  { endpoint, rescued: true },
]);
/** Returns the endpoint with the provider's own wire format, if there is one. */
const usualEndpoint = (wire: WireName): EndpointFormat =>
  endpointFormats.find((each) => each === wire) ?? 'openai-chat';
const otherEndpoint = (wire: WireName): EndpointFormat =>
  endpointFormats[(endpointFormats.indexOf(usualEndpoint(wire)) + 1) % endpointFormats.length] ?? 'anthropic';
/** Reports whether the gateway requests a stream from the provider. For a call over the bus it always does. */
const streams = ({ endpoint }: Way): boolean => endpoint !== 'http, whole';

/** One request for a model. No other request uses this model, so requests don't affect each other. */
type Case = { id: string; wire: WireName; fault: string; way: Way; model: string };
const cases: readonly Case[] = wireNames.flatMap((wire) =>
  matrixFaults.flatMap((fault) =>
    ways
      // If the fault allows a correct answer, no other provider is needed.
      .filter(({ rescued }) => !rescued || !isOdd(fault))
      .map((way) => {
        // The id must be a valid alias.
        const id = [wire, fault, way.endpoint, way.rescued ? 'rescued' : 'alone'].join('-').replaceAll(/[ ,@]+/g, '-');
        return { id, wire, fault, way, model: way.rescued ? id : `${wire}/${id}/${fault}` };
      }),
  ),
);

let nats: NatsServer;
let upstream: FaultyUpstream;
let providers: FaultyProviders;
let orchestrator: Orchestrator;
let gateway: StartedService;
let facade: { url: string; token: string };
const requests: FaultyRequest[] = [];

beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  upstream = await startFaultyUpstream({
    onRequest: (request) => requests.push(request),
    beforeCut: (request) => providers.outputTaken(request),
  });
  providers = new FaultyProviders(upstream);
  gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) =>
      startLlmGateway(context, {
        providers: providers.all,
        aliases: cases
          .filter(({ way }) => way.rescued)
          .map(({ id, wire, fault }) => ({
            name: id,
            candidates: [`${wire}/${id}/${fault}`, `healthy/${id}/healthy`],
            strategy: 'order' as const,
          })),
        retry: { attemptsMax: 1 },
        httpAddresses: [{ host: '127.0.0.1', port: 0 }],
      }),
  });
  const grant = { tenant: 'default', runId: '', taskId: '' };
  const minted = await orchestrator.bus.call(
    gatewayCalls.mintToken,
    { service: 'llm-gateway' },
    { grant, ttlMs: 3_600_000 },
  );
  facade = { url: minted.addresses[0] ?? '', token: minted.token };
});
afterAll(async () => {
  await gateway.stop();
  await providers.close();
  await upstream.close();
  await orchestrator.close();
  await nats.stop();
});

let turns = 0;
async function takeTurn(model: string, timeLimitMs = hangsAfterMs) {
  const taskId = `t${String(turns++)
    .replaceAll(/\d/g, (digit) => String.fromCodePoint(97 + Number(digit)))
    .padStart(16, 'z')}`;
  const effectId = `task_${taskId}_1_1`;
  await orchestrator.order({ effectId, taskId, model, prompt: 'x'.repeat(40), timeLimitMs });
  return orchestrator.resultOf(effectId, { timeoutMs: hangsAfterMs });
}

async function callWhole(model: string): Promise<Outcome> {
  try {
    const { message, ...rest } = await sendWholeChat(orchestrator.bus, { model });
    const text = message.content.map((part) => (part.type === 'text' ? part.text : '')).join('');
    return { status: 'done', output: { text: { text }, ...rest } };
  } catch (error) {
    return { status: 'failed', error: toWireError(error) };
  }
}

const endpointOf = ({ wire, way }: Case): EndpointFormat =>
  way.endpoint === 'http, other format' ? otherEndpoint(wire) : usualEndpoint(wire);

describe.each(wireNames)('%s', (wire) => {
  test.concurrent.each(matrixFaults)('%s', { timeout: 2 * hangsAfterMs }, async (fault) => {
    const own = cases.filter((each) => each.wire === wire && each.fault === fault);
    expect((await Promise.all(own.map(problemsOf))).flat()).toEqual([]);
  });

  test('a client that disconnects ends the upstream call before the next piece', async () => {
    const leave = async (endpoint: EndpointFormat, stream: boolean) => {
      const model = `${wire}/leaving-${endpoint}-${stream}/stall-after-output`;
      const abort = new AbortController();
      const begun = providers.patientFor(model);
      const answer = callEndpoint({ ...facade, wire: endpoint, model, stream, signal: abort.signal });
      // The client gets nothing of an unstreamed answer before its end.
      const request = await requestFor(model);
      if (stream) await begun;
      abort.abort();
      expect(await answer).toMatchObject({ broke: true, whole: false });
      // The upstream sends nothing more, so the request ends only when the connection is closed.
      expect(await request.ended).toBe('left');
    };
    await Promise.all([
      leave(usualEndpoint(wire), true),
      leave(usualEndpoint(wire), false),
      leave(otherEndpoint(wire), true),
    ]);
  });

  test('a client on the bus that cancels its chat ends the upstream call before the next piece', async () => {
    const model = `${wire}/leaving-bus/stall-after-output`;
    void providers.patientFor(model);
    let chatId = '';
    const { error } = await sendChat(
      orchestrator.bus,
      { model },
      {
        onMessage: async (message) => {
          if (message.type === 'started') ({ chatId } = message);
          if (message.type !== 'text-delta' || message.text === '' || chatId === '') return;
          await orchestrator.bus.call(chatApi.cancel, { tenant: 'default' }, { chatId });
          chatId = '';
        },
      },
    );
    // The partial answer is charged.
    const outputTokens = expect.toSatisfy((count: number) => count > 0);
    expect(error).toMatchObject({ code: 'cancelled', details: { attempts: 1, usage: { outputTokens } } });
    expect(await (await requestFor(model)).ended).toBe('left');
  });

  test('the time limit of a turn ends the upstream call before the next piece', async () => {
    const model = `${wire}/late/stall-after-output`;
    void providers.patientFor(model);
    expect(await takeTurn(model, 1_000)).toMatchObject({ status: 'failed', error: { code: 'deadline-exceeded' } });
    const { ended } = await requestFor(model);
    expect(await ended).toBe('left');
  });
});

const requestFor = (model: string): Promise<FaultyRequest> =>
  eventually(() => requests.find((request) => model === `${request.wire}/${request.model}`), {
    timeoutMs: hangsAfterMs,
    description: `a request for ${model}`,
  });

async function problemsOf(each: Case): Promise<string[]> {
  const { wire, fault, way, model, id } = each;
  const stream = streams(way);
  const expected = expectationOf(wire, fault, { stream, rescued: way.rescued });
  const endpoint = endpointOf(each);
  const problemsOfAnswer = async () => {
    if (way.endpoint === 'turn') return turnProblems(await takeTurn(model), expected, wire);
    if (way.endpoint === 'bus') return chatProblems(await sendChat(orchestrator.bus, { model }), expected, wire);
    if (way.endpoint === 'bus, whole') return turnProblems(await callWhole(model), expected, wire);
    return answerProblems(await callEndpoint({ ...facade, wire: endpoint, model, stream }), expected, {
      endpoint,
      stream,
    });
  };
  const problems = await problemsOfAnswer();
  const ofCase = requests.filter((request) => request.model.startsWith(`${id}/`));
  return [...problems, ...(await requestProblems(ofCase, expected, fault))].map((problem) => `${id}: ${problem}`);
}
