/** Tests calls whose budget is too small now, but may be large enough after other calls end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareExchanges } from '../routing/collaborators.ts';
import { startExchange } from '../routing/exchange.ts';
import type { Provider } from '../provider/port.ts';
import { chargedCall, prices, used } from '../test-support/charged-call.ts';
import { end, saying, text } from '../test-support/says.ts';
import { Budgets } from './budgets.ts';
import { budgetsOf } from './budgets-of-account.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'charged' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus?.close();
  await nats?.stop();
});

const call = (...about: Parameters<typeof chargedCall> extends [Bus, ...infer Rest] ? Rest : never) =>
  chargedCall(bus, ...about);

describe('if a call in flight has reserved the rest of a budget', () => {
  async function inFlight(taskId: string) {
    const { promise: isRequested, resolve: requested } = Promise.withResolvers<void>();
    const { promise: mayEnd, resolve: letEnd } = Promise.withResolvers<void>();
    const slow: Provider = {
      ...saying('acme'),
      async *stream() {
        requested();
        await mayEnd;
        yield [text('a'), used(12, 8), end];
      },
    };
    const first = call(slow, taskId, { tokens: 150 });
    await isRequested;
    return { first, letEnd };
  }

  test('a durable turn waits for the end of that call', async () => {
    const { first, letEnd } = await inFlight('wait');
    const second = call(saying('acme', [text('a'), used(12, 8), end]), 'wait', { tokens: 150 });
    // This is longer than one wait for a budget (`elsewhereMsMax`).
    await sleep(4_000);
    letEnd();
    expect(await first).toMatchObject({ error: null });
    expect(await second).toEqual({ error: null, spent: { tokens: 40, nanoUsd: 40_000_000 } });
  });

  test("the waiting call's place at the provider is free for others", async () => {
    const { first, letEnd } = await inFlight('place');
    const budgets = new Budgets(bus, 'g-place-waiting');
    const exchanges = prepareExchanges({
      providers: [Object.assign(saying('acme', [text('a'), end], [text('a'), end]), { wire: 'openai-chat' as const })],
      concurrencyOf: () => 1,
      prices,
      budgets,
    });
    const done: string[] = [];
    const callFor = async (taskId: string, limits: { tokens?: number }) => {
      const owner = { tenant: 'acme', runId: 'r1', taskId };
      const { deltas } = startExchange(exchanges, {
        model: exchanges.routes.resolve('acme/one'),
        request: { messages: [], tools: [], settings: { maxOutputTokens: 90 } },
        context: { owner, effectId: taskId, signal: new AbortController().signal },
        endsAtMs: Date.now() + 15_000,
        budgets: budgetsOf({ owner, limits: { task: limits, run: {} } }, [], new Date()),
      });
      for await (const some of deltas) void some;
      done.push(taskId);
    };
    const waiting = callFor('place', { tokens: 150 });
    await callFor('other', {});
    letEnd();
    await Promise.all([first, waiting]);
    expect(done).toEqual(['other', 'place']);
    await budgets.stop();
  });

  test('the signal and the time limit end the wait', async () => {
    const { first, letEnd } = await inFlight('end');
    const acme = saying('acme', [text('a'), end]);
    const leaving = new AbortController();
    const context = { owner: { tenant: 'acme', runId: 'r1', taskId: 'end' }, effectId: 'e', signal: leaving.signal };
    const left = call(acme, 'end', { tokens: 150 }, { context });
    const late = call(acme, 'end', { tokens: 150 }, { endsAtMs: Date.now() + 1_500 });
    expect(await late).toMatchObject({ error: { retryable: true, details: { budget: 'task end' } } });
    leaving.abort(new CoppiceError('cancelled', 'stopped'));
    expect(await left).toMatchObject({ error: { code: 'cancelled', message: 'stopped' } });
    letEnd();
    await first;
    expect(acme.requests).toEqual([]);
  });

  test('a call with a limit on its wait for budget fails after that time, and its error says when to try again', async () => {
    const { first, letEnd } = await inFlight('endpoint');
    const acme = saying('acme', [text('a'), end]);
    const refused = await call(acme, 'endpoint', { tokens: 150 }, { budgetWaitMsMax: 1_200 });
    expect(refused.error).toMatchObject({
      code: 'provider-limited',
      retryable: true,
      message: expect.stringContaining('it has 50 of 150 tokens left, 100 more are reserved by calls in flight'),
      details: { budget: 'task endpoint', retryAfterMs: expect.any(Number) },
    });
    expect(acme.requests).toEqual([]);
    letEnd();
    await first;
  });
});
