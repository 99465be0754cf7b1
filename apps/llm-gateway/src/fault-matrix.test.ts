/**
 * Every fault, in every provider's wire, through every door: with another provider to turn to, and without.
 *
 * Either the right answer, or one explicit error with the right code and status; never a shortened answer that looks whole.
 */
import { gatewayCalls } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerText, answerUsage } from './faulty-upstream/script.ts';
import { startFaultyUpstream } from './faulty-upstream/server.ts';
import type { FaultyRequest, FaultyUpstream } from './faulty-upstream/server.ts';
import { startLlmGateway } from './index.ts';
import type { WireName } from './provider/port.ts';
import { wireNames } from './provider/port.ts';
import { expectationOf, isOdd, matrixFaults } from './test-support/fault-expectations.ts';
import type { Expectation } from './test-support/fault-expectations.ts';
import { askDoor } from './test-support/door-client.ts';
import type { DoorAnswer } from './test-support/door-client.ts';
import { FaultyProviders } from './test-support/faulty-providers.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import type { Orchestrator } from './test-support/orchestrator.ts';

type Way = {
  door: 'turn' | 'same wire' | 'same wire, whole' | 'other wire';
  /** Whether another provider can be asked. */
  rescued: boolean;
};
const ways: readonly Way[] = (['turn', 'same wire', 'same wire, whole', 'other wire'] as const).flatMap((door) => [
  { door, rescued: false },
  { door, rescued: true },
]);
const otherWire = (wire: WireName): WireName =>
  wireNames[(wireNames.indexOf(wire) + 1) % wireNames.length] ?? 'anthropic';
const streams = ({ door }: Way): boolean => door !== 'same wire, whole';

/** One question: its model, with nobody or somebody healthy to turn to. Nobody else asks this model, so that no question learns from another. */
type Case = { id: string; wire: WireName; fault: string; way: Way; model: string };
const cases: readonly Case[] = wireNames.flatMap((wire) =>
  matrixFaults.flatMap((fault) =>
    ways
      // What is answered well needs no other provider.
      .filter(({ rescued }) => !rescued || !isOdd(fault))
      .map((way) => {
        const id = [wire, fault.replaceAll('@', '-'), way.door, way.rescued ? 'rescued' : 'alone'].join(' ');
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
const requestsOf = ({ id }: Case) => requests.filter(({ model }) => model.includes(`${id}/`));

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
  return orchestrator.resultOf(effectId, { timeoutMs: 20_000 });
}

const doorOf = ({ wire, way }: Case): WireName => (way.door === 'other wire' ? otherWire(wire) : wire);

describe.each(wireNames)('%s', (wire) => {
  test.concurrent.each(matrixFaults)('%s', { timeout: 60_000 }, async (fault) => {
    const own = cases.filter((each) => each.wire === wire && each.fault === fault);
    await Promise.all(own.map((each) => (each.way.door === 'turn' ? expectTurn(each) : expectAnswer(each))));
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
    timeoutMs: 20_000,
    description: `a request for ${model}`,
  });

async function expectTurn(each: Case): Promise<void> {
  const outcome = await takeTurn(each.model);
  const expected = expectationOf(each.wire, each.fault, { stream: true, rescued: each.way.rescued });
  const failed = expected.kind === 'error' || expected.rescued;
  if (expected.kind === 'answer') {
    expect(outcome, each.id).toMatchObject({
      status: 'done',
      output: {
        text: { text: answerText },
        finishReason: 'stop',
        provider: expected.rescued ? 'healthy' : each.wire,
        attempts: expected.rescued ? 2 : 1,
      },
    });
    const { usage } = (outcome as { output: { usage: Record<string, number> } }).output;
    // What failed before any output may still have counted the question.
    const [least, most] = [answerUsage.inputTokens, answerUsage.inputTokens * (failed ? 2 : 1)];
    expect(usage['inputTokens'], each.id).toBeGreaterThanOrEqual(least);
    expect(usage['inputTokens'], each.id).toBeLessThanOrEqual(most);
    expect(usage['outputTokens'], each.id).toBe(answerUsage.outputTokens);
  } else {
    const { code, retryable } = expected;
    expect(outcome, each.id).toMatchObject({ status: 'failed', error: { code, retryable, details: { attempts: 1 } } });
    const { details } = (outcome as { error: { details: Record<string, unknown> } }).error;
    expectWait(details['retryAfterMs'], expected, each.id);
    const usage = details['usage'] as Record<string, number>;
    // What came of an answer is paid for, by the question's 40 bytes or the provider's count, and by what was said; of one that never began nothing is.
    if (expected.when === 'after') {
      expect([10, answerUsage.inputTokens], each.id).toContain(usage['inputTokens']);
      expect(usage['outputTokens'], each.id).toBeGreaterThan(0);
      expect(usage['outputTokens'], each.id).toBeLessThanOrEqual(answerUsage.outputTokens);
    } else expect(usage['outputTokens'], each.id).toBe(0);
  }
  await expectAsked(each, expected);
}

async function expectAnswer(each: Case): Promise<void> {
  const stream = streams(each.way);
  const door = doorOf(each);
  const answer = await askDoor({ ...facade, wire: door, model: each.model, stream });
  const expected = expectationOf(each.wire, each.fault, { stream, rescued: each.way.rescued });
  if (expected.kind === 'answer')
    expect(answer, each.id).toMatchObject({ status: 200, broke: false, text: answerText, whole: true, error: null });
  else if (expected.when === 'before' || !stream) expectRefusal(answer, each, expected);
  else {
    // Told as an error, and so that nobody takes it for a whole answer.
    expect(answer, each.id).toMatchObject({ status: 200, broke: true, whole: false });
    expect(answer.error, each.id).not.toBeNull();
    expect(answerText.startsWith(answer.text), each.id).toBe(true);
  }
  await expectAsked(each, expected);
}

type ExpectedError = Extract<Expectation, { kind: 'error' }>;

function expectRefusal(answer: DoorAnswer, each: Case, expected: ExpectedError): void {
  const door = doorOf(each);
  expect(answer, each.id).toMatchObject({ status: expected.statusAt(door), broke: false, whole: false });
  expect(answer.error, each.id).not.toBeNull();
  const wait = answer.headers.get('retry-after-ms');
  expectWait(wait === null ? undefined : Number(wait), expected, each.id);
  const comesAgain = answer.headers.get('x-should-retry') !== 'false';
  expect(comesAgain, each.id).toBe(expected.retryable || answer.status < 408);
}

/** Dates have whole seconds, and time passes. */
function expectWait(waitMs: unknown, { retryAfterMs }: ExpectedError, id: string): void {
  if (retryAfterMs === null) return expect(waitMs, id).toBeUndefined();
  expect(waitMs, id).toBeLessThanOrEqual(retryAfterMs);
  expect(waitMs, id).toBeGreaterThan(retryAfterMs - 60_000);
}

/** Who was asked: the healthy one only where it is to answer, nobody twice; and the call that was given up is closed. */
async function expectAsked(each: Case, expected: Expectation): Promise<void> {
  const asked = requestsOf(each);
  const healthy = asked.filter(({ model }) => model === `${each.id}/healthy` && each.fault !== 'healthy');
  const rescues = expected.kind === 'answer' && expected.rescued;
  expect(healthy.length, each.id).toBe(rescues ? 1 : 0);
  const [first, ...others] = asked.filter((request) => !healthy.includes(request));
  expect(others, each.id).toEqual([]);
  // Who waits for so short a time may give up before the request is there.
  if (each.fault.startsWith('stall-')) expect([undefined, 'left'], each.id).toContain(await first?.ended);
  else expect(first === undefined, each.id).toBe(each.fault === 'tls-error');
}
