/**
 * Tests calls while the bucket of budgets hangs. Checks which calls wait, for how long, and what stays reserved
 * afterwards.
 */
import { Bus } from '@coppice/bus';
import type { KeyValue } from '@coppice/bus';
import { CoppiceError, buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { prepareExchanges } from '../routing/collaborators.ts';
import { completeCall } from '../test-support/call-exchange.ts';
import { budgetsThrough } from '../test-support/budgets-through.ts';
import { end, saying, text } from '../test-support/says.ts';
import { nothing } from './amount.ts';
import type { Budget } from './budget.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'hung' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus?.close();
  await nats?.stop();
});

const budgetOf = (key: string, limit: Budget['limit']): Budget => ({ key, name: key, limit, forgottenAfterMs: null });
const tokens = (count: number) => ({ tokens: count, nanoUsd: 0 });
const stopped = new CoppiceError('cancelled', 'the client left');

/**
 * Creates budgets on a bucket that a test can make hang, and later continue or fail. `operations` records the requests
 * to the bucket since it began to hang.
 */
function hangable() {
  const real = bus.keyValue(buckets.budgets);
  const operations: string[] = [];
  let hung: { what: string; isReached: () => void; answer: Promise<void> } | null = null;
  const through = async (what: string) => {
    operations.push(what);
    if (hung?.what !== what) return;
    hung.isReached();
    await hung.answer;
  };
  const between = {
    get: async (...get: Parameters<KeyValue['get']>) => {
      await through('get');
      return real.get(...get);
    },
    update: async (...update: Parameters<KeyValue['update']>) => {
      await through('update');
      return real.update(...update);
    },
  };
  let onWanted: (data: Uint8Array) => void = () => {};
  const publishCore = vi.fn<() => void>();
  const subscribeCore = (_subject: string, onMessage: typeof onWanted) => {
    onWanted = onMessage;
    return { unsubscribe: () => {} };
  };
  return {
    budgets: budgetsThrough(bus, between, { subscribeCore, publishCore }),
    operations,
    publishCore,
    /** Delivers another gateway's request to return amounts. This gateway then writes the account. */
    want: ({ key }: Budget) => onWanted(new TextEncoder().encode(JSON.stringify({ key, holder: 'g2' }))),
    hang: (what: 'get' | 'update') => {
      const [reached, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      hung = { what, isReached: reached.resolve, answer: answer.promise };
      operations.length = 0;
      const over = (answered: () => void) => {
        hung = null;
        answered();
      };
      return {
        isReached: reached.promise,
        goOn: () => over(answer.resolve),
        fail: () => over(() => answer.reject(new Error('no answer'))),
      };
    },
  };
}

/** Returns `taken` for each successful reservation, and the error of each failed one. */
const outcomes = async (all: Promise<unknown>[]) =>
  (await Promise.allSettled(all)).map((each): unknown => (each.status === 'fulfilled' ? 'taken' : each.reason));

function expectOneError(errors: unknown[], count: number): void {
  expect(errors).toHaveLength(count);
  expect(errors[0]).toMatchObject({ code: 'unavailable' });
  expect(new Set(errors).size).toBe(1);
}

const nine = <Each>(each: () => Each): Each[] => Array.from({ length: 9 }, each);

test('calls that wait for a failing read fail with its error; later calls read again', async () => {
  const { budgets, operations, hang } = hangable();
  const budget = budgetOf('task.read', { tokens: 900 });
  const { isReached, fail } = hang('get');
  const all = nine(() => budgets.reserve([budget], tokens(100)));
  await isReached;
  fail();
  expectOneError(await outcomes(all), 9);
  expect(operations).toEqual(['get']);
  (await budgets.reserve([budget], tokens(900))).settle(tokens(900));
  await budgets.stop();
  expect(await budgets.look([budget])).toMatchObject([{ used: tokens(900), reserved: nothing }]);
});

test('calls that wait for a failing write fail with its error, however often other gateways request it', async () => {
  const { budgets, operations, hang, want } = hangable();
  const budget = budgetOf('task.written', { tokens: 32_000 });
  (await budgets.reserve([budget], tokens(100))).settle(tokens(50));
  const { isReached, fail } = hang('update');
  want(budget);
  want(budget);
  // The lease is large enough for these calls, but the hanging write may have returned it.
  const all = nine(() => budgets.reserve([budget], tokens(100)));
  await isReached;
  fail();
  expectOneError(await outcomes(all), 9);
  expect(operations).toEqual(['get', 'update']);
  (await budgets.reserve([budget], tokens(31_950))).settle(tokens(31_950));
  await budgets.stop();
  expect(await budgets.look([budget])).toMatchObject([{ used: tokens(32_000), reserved: nothing }]);
});

test('waiting calls continue if the lease is certain and large enough for them', async () => {
  const { budgets, operations, hang, want } = hangable();
  const budget = budgetOf('task.lease', { tokens: 32_000 });
  (await budgets.reserve([budget], tokens(100))).settle(tokens(50));
  const { isReached, fail } = hang('get');
  want(budget);
  const all = [20_000, 100, 30_000, 200].map((count) => budgets.reserve([budget], tokens(count)));
  await isReached;
  fail();
  const [first, second, third, fourth] = await outcomes(all);
  expectOneError([first, third], 2);
  expect([second, fourth]).toEqual(['taken', 'taken']);
  expect(operations).toEqual(['get']);
  await budgets.stop();
});

test('an aborted call stops waiting, and an amount that is granted afterwards does not stay reserved', async () => {
  const { budgets, operations, hang } = hangable();
  const [task, tenant] = [budgetOf('task.left', { tokens: 1_000 }), budgetOf('tenant.left', { tokens: 1_000 })];
  // This budget comes first. Its account is in memory, and it is large enough.
  const ofCall: Budget = { ...budgetOf('call.left', { tokens: 100 }), ofOneCall: true };
  const [leasing, waiting] = [new AbortController(), new AbortController()];
  const { isReached, goOn } = hang('get');
  const first = budgets.reserve([ofCall, task, tenant], tokens(100), null, leasing.signal);
  const second = budgets.reserve([task], tokens(900), null, waiting.signal);
  await isReached;
  leasing.abort(stopped);
  waiting.abort(stopped);
  await expect(first).rejects.toBe(stopped);
  await expect(second).rejects.toBe(stopped);
  (await budgets.reserve([ofCall], tokens(100))).settle(nothing);
  await expect(budgets.reserve([tenant, task], tokens(100), null, leasing.signal)).rejects.toBe(stopped);
  const third = budgets.reserve([task], tokens(100));
  goOn();
  (await third).settle(nothing);
  // The lease that was requested for the first call was enough for the third call. Nothing was requested for the second
  // call.
  expect(operations).toEqual(['get']);
  (await budgets.reserve([task, tenant], tokens(1_000))).settle(nothing);
  await budgets.stop();
  const stand = [{ budget: task }, { budget: tenant }].map((each) => ({ ...each, used: nothing, reserved: nothing }));
  expect(await budgets.look([task, tenant])).toEqual(stand);
});

test('a call that is aborted between two tries does not try again', async () => {
  const { budgets, publishCore } = hangable();
  const budget = budgetOf('task.pause', { tokens: 100 });
  const inFlight = await budgets.reserve([budget], tokens(80));
  const leaving = new AbortController();
  // `reserve` publishes the message immediately before its pause. After the pause, the budget would be large enough.
  publishCore.mockImplementation(() => {
    leaving.abort(stopped);
    inFlight.settle(nothing);
  });
  await expect(budgets.reserve([budget], tokens(50), null, leaving.signal)).rejects.toBe(stopped);
  expect(publishCore).toHaveBeenCalledOnce();
  await budgets.stop();
  expect(await budgets.look([budget])).toMatchObject([{ used: nothing, reserved: nothing }]);
});

test('a call for which the lease is large enough adds no listener to its signal', async () => {
  const { budgets } = hangable();
  const budget = budgetOf('task.local', { tokens: 32_000 });
  await budgets.reserve([budget], tokens(100));
  const { signal } = new AbortController();
  const listen = vi.spyOn(signal, 'addEventListener');
  await budgets.reserve([budget], tokens(100), null, signal);
  expect(listen).not.toHaveBeenCalled();
  // This amount is larger than the lease.
  await budgets.reserve([budget], tokens(20_000), null, signal);
  expect(listen).toHaveBeenCalledOnce();
  await budgets.stop();
});

test.each([
  ['an output limit', 'task.named', { maxOutputTokens: 50 }],
  ['no output limit', 'task.unnamed', {}],
])('a client that disconnects releases its place at once while its budget hangs, with %s', async (_, key, settings) => {
  const { budgets, hang } = hangable();
  const providers = [saying('acme', [text('a'), end])];
  const exchanges = prepareExchanges({ providers, concurrencyOf: () => 1, budgets });
  const leaving = new AbortController();
  const { isReached, goOn } = hang('get');
  const limits = [budgetOf(key, { tokens: 10_000 })];
  const request = { messages: [], tools: [], settings };
  const left = completeCall(exchanges, { model: 'acme/one', request, budgets: limits, signal: leaving.signal });
  await isReached;
  const other = completeCall(exchanges, { model: 'acme/one' });
  leaving.abort(stopped);
  expect(await left).toMatchObject({ error: stopped, result: { attempts: [] } });
  expect(await other).toMatchObject({ text: 'a', error: null });
  goOn();
  await budgets.stop();
  expect(await budgets.look(limits)).toMatchObject([{ used: nothing, reserved: nothing }]);
});
