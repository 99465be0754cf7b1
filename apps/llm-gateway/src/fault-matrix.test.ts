/**
 * Every fault, in every provider's wire, through every door: with another provider to turn to, and without.
 *
 * Either the right answer, or one explicit error with the right code and status; never a shortened answer that looks whole.
 */
import { chatApi, gatewayCalls, toWireError } from '@coppice/contracts';
import type { Outcome } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFaultyUpstream } from './faulty-upstream/server.ts';
import type { FaultyRequest, FaultyUpstream } from './faulty-upstream/server.ts';
import { startLlmGateway } from './index.ts';
import type { WireName } from './provider/port.ts';
import { wireNames } from './provider/port.ts';
import { expectationOf, isOdd, matrixFaults } from './test-support/fault-expectations.ts';
import { answerProblems, askedProblems, chatProblems, turnProblems } from './test-support/fault-problems.ts';
import { askChat, askWhole } from './test-support/chat-client.ts';
import { askDoor } from './test-support/door-client.ts';
import { FaultyProviders } from './test-support/faulty-providers.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import type { Orchestrator } from './test-support/orchestrator.ts';

type Way = {
  door: 'turn' | 'bus' | 'bus, whole' | 'same wire' | 'same wire, whole' | 'other wire';
  /** Whether another provider can be asked. */
  rescued: boolean;
};
/** A machine with much else to do takes its time for an answer that comes byte by byte. */
const hangsAfterMs = 60_000;
const doors = ['turn', 'bus', 'bus, whole', 'same wire', 'same wire, whole', 'other wire'] as const;
const ways: readonly Way[] = doors.flatMap((door) => [
  { door, rescued: false },
  { door, rescued: true },
]);
const otherWire = (wire: WireName): WireName =>
  wireNames[(wireNames.indexOf(wire) + 1) % wireNames.length] ?? 'anthropic';
/** Whether the provider is asked to. On the bus it is, however the answer is told then. */
const streams = ({ door }: Way): boolean => door !== 'same wire, whole';

/** One question: its model, with nobody or somebody healthy to turn to. Nobody else asks this model, so that no question learns from another. */
type Case = { id: string; wire: WireName; fault: string; way: Way; model: string };
const cases: readonly Case[] = wireNames.flatMap((wire) =>
  matrixFaults.flatMap((fault) =>
    ways
      // What is answered well needs no other provider.
      .filter(({ rescued }) => !rescued || !isOdd(fault))
      .map((way) => {
        // As an alias is named.
        const id = [wire, fault, way.door, way.rescued ? 'rescued' : 'alone'].join('-').replaceAll(/[ ,@]+/g, '-');
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
async function takeTurn(model: string, timeLimitMs = 60_000) {
  const taskId = `t${String(turns++)
    .replaceAll(/\d/g, (digit) => String.fromCodePoint(97 + Number(digit)))
    .padStart(16, 'z')}`;
  const effectId = `task_${taskId}_1_1`;
  await orchestrator.order({ effectId, taskId, model, prompt: 'x'.repeat(40), timeLimitMs });
  return orchestrator.resultOf(effectId, { timeoutMs: hangsAfterMs });
}

/** As a turn's outcome. */
async function askForWhole(model: string): Promise<Outcome> {
  try {
    const { message, ...rest } = await askWhole(orchestrator.bus, { model });
    const text = message.content.map((part) => (part.type === 'text' ? part.text : '')).join('');
    return { status: 'done', output: { text: { text }, ...rest } };
  } catch (error) {
    return { status: 'failed', error: toWireError(error) };
  }
}

const doorOf = ({ wire, way }: Case): WireName => (way.door === 'other wire' ? otherWire(wire) : wire);

describe.each(wireNames)('%s', (wire) => {
  test.concurrent.each(matrixFaults)('%s', { timeout: 2 * hangsAfterMs }, async (fault) => {
    const own = cases.filter((each) => each.wire === wire && each.fault === fault);
    expect((await Promise.all(own.map(problemsOf))).flat()).toEqual([]);
  });

  test('a client that leaves ends the upstream call before its next piece', async () => {
    const leave = async (door: WireName, stream: boolean) => {
      const model = `${wire}/leaving-${door}-${stream}/stall-after-output`;
      const abort = new AbortController();
      const begun = providers.patientFor(model);
      const answer = askDoor({ ...facade, wire: door, model, stream, signal: abort.signal });
      // Of a whole answer nothing is told to anybody before its end.
      const request = await requestFor(model);
      if (stream) await begun;
      abort.abort();
      expect(await answer).toMatchObject({ broke: true, whole: false });
      // The next piece never comes: that the connection is closed is all that ends the upstream's wait.
      expect(await request.ended).toBe('left');
    };
    await Promise.all([leave(wire, true), leave(wire, false), leave(otherWire(wire), true)]);
  });

  test('so does one on the bus that cancels its chat', async () => {
    const model = `${wire}/leaving-bus/stall-after-output`;
    void providers.patientFor(model);
    let chatId = '';
    const { error } = await askChat(
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
    // What came is paid for.
    const outputTokens = expect.toSatisfy((count: number) => count > 0);
    expect(error).toMatchObject({ code: 'cancelled', details: { attempts: 1, usage: { outputTokens } } });
    expect(await (await requestFor(model)).ended).toBe('left');
  });

  test('so does a turn whose time is over', async () => {
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

/** What is wrong with what came of it; nothing, if all is right. */
async function problemsOf(each: Case): Promise<string[]> {
  const { wire, fault, way, model, id } = each;
  const stream = streams(way);
  const expected = expectationOf(wire, fault, { stream, rescued: way.rescued });
  const door = doorOf(each);
  const asking = async () => {
    if (way.door === 'turn') return turnProblems(await takeTurn(model), expected, wire);
    if (way.door === 'bus') return chatProblems(await askChat(orchestrator.bus, { model }), expected, wire);
    if (way.door === 'bus, whole') return turnProblems(await askForWhole(model), expected, wire);
    return answerProblems(await askDoor({ ...facade, wire: door, model, stream }), expected, { door, stream });
  };
  const problems = await asking();
  const asked = requests.filter((request) => request.model.startsWith(`${id}/`));
  return [...problems, ...(await askedProblems(asked, expected, fault))].map((problem) => `${id}: ${problem}`);
}
