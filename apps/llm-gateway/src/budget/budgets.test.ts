import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { Bus } from '@coppice/bus';
import type { KeyValue } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import type { CoppiceError } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { budgetsThrough as budgetsOn } from '../test-support/budgets-through.ts';
import { nothing } from './amount.ts';
import type { Amount } from './amount.ts';
import { Budgets } from './budgets.ts';
import type { Budget } from './budget.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'budgets' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus?.close();
  await nats?.stop();
});

const budgetOf = (key: string, limit: Budget['limit']): Budget => ({ key, name: key, limit, forgottenAfterMs: null });
const tokens = (count: number) => ({ tokens: count, nanoUsd: 0 });
async function stored(key: string): Promise<unknown> {
  const entry = await bus.keyValue(buckets.budgets).get(key);
  return entry === null ? null : JSON.parse(new TextDecoder().decode(entry.value));
}

test('200 concurrent calls of four processes never use more than the budget has, and settle exactly', async () => {
  const limit = 9_000;
  const program = path.resolve(import.meta.dirname, '../test-programs/budget-process.ts');
  const run = async (holder: string) => {
    const words = [program, JSON.stringify(nats.connection), holder, '50', String(limit)];
    return JSON.parse((await promisify(execFile)(process.execPath, words)).stdout) as { used: number; refused: number };
  };
  const results = await Promise.all(['p1', 'p2', 'p3', 'p4'].map(run));
  const used = results.reduce((sum, each) => sum + each.used, 0);
  expect(used).toBeLessThanOrEqual(limit);
  // Each call reserves 100 tokens. No call was rejected while the budget still had that amount.
  expect(limit - used).toBeLessThan(100);
  expect(results.some(({ refused }) => refused > 0)).toBe(true);
  expect(await stored('task.t1')).toMatchObject({ spent: tokens(used) });
}, 60_000);

test('if one budget is used up, nothing is reserved in the others', async () => {
  const budgets = new Budgets(bus, 'g1');
  const wide = budgetOf('tenant.wide', { tokens: 1_000 });
  const narrow = budgetOf('task.narrow', { tokens: 50, costUsd: 1 });
  await expect(budgets.reserve([wide, narrow], tokens(100))).rejects.toMatchObject({
    code: 'limit-exceeded',
    message:
      'the limit of task.narrow on what models may use is too low to go on: it has 50 of 50 tokens left, and the next turn may need 100',
    details: { budget: 'task.narrow', limit: { tokens: 50 } },
  });
  const whole = await budgets.reserve([wide], tokens(1_000));
  whole.settle(tokens(1_100));
  whole.settle(tokens(1_100));
  await budgets.stop();
  // Usage beyond the reservation is also charged, but only once.
  expect(await stored('tenant.wide')).toMatchObject({ spent: tokens(1_100) });
});

test('a call waits for amounts that calls in flight have reserved, without delaying smaller calls', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('task.flight', { tokens: 100 });
  const first = await budgets.reserve([budget], tokens(80));
  await expect(budgets.reserve([budget], tokens(50))).rejects.toMatchObject({
    code: 'provider-limited',
    retryable: true,
    message:
      'the limit of task.flight on what models may use is taken up by calls in flight: it has 20 of 100 tokens left, 80 more are reserved by calls in flight, and the next turn may need 50',
    details: { budget: 'task.flight', retryAfterMs: expect.any(Number) },
  });
  await expect(budgets.reserve([budget], tokens(101))).rejects.toMatchObject({ code: 'limit-exceeded' });
  const done: string[] = [];
  const large = budgets.reserve([budget], tokens(50)).then(() => done.push('large'));
  await budgets.reserve([budget], tokens(20)).then(() => done.push('small'));
  first.settle(tokens(10));
  await large;
  expect(done).toEqual(['small', 'large']);
  await budgets.stop();
  expect(await stored('task.flight')).toMatchObject({ spent: tokens(10) });
});

test('a patient call accepts less only when no call in flight can return anything', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('task.patient', { tokens: 100 });
  const first = await budgets.reserve([budget], tokens(80));
  const reserveLess = (patient: boolean) => {
    const less = { least: tokens(10), within: (free: Amount) => free, patient };
    return budgets.reserve([budget], tokens(150), less);
  };
  await expect(reserveLess(true)).rejects.toMatchObject({ code: 'provider-limited' });
  (await reserveLess(false)).settle(tokens(20));
  first.settle(nothing);
  (await reserveLess(true)).settle(tokens(80));
  await expect(reserveLess(true)).rejects.toThrow('it has 0 of 100 tokens left, and the next turn may need 10');
  await budgets.stop();
});

test('the error names the missing dollars if the tokens suffice', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('task.dollars', { tokens: 1_000, costUsd: 1 });
  await budgets.reserve([budget], { tokens: 10, nanoUsd: 800_000_000 });
  await expect(budgets.reserve([budget], { tokens: 10, nanoUsd: 300_000_000 })).rejects.toThrow(
    'it has 0.2 of 1 US dollars left, 0.8 more are reserved by calls in flight, and the next turn may need 0.3',
  );
  await budgets.stop();
});

test('the budget can still be read after a call reported an extremely large usage', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('tenant.absurd', { costUsd: 1 });
  const all = { tokens: Number.MAX_SAFE_INTEGER, nanoUsd: Number.MAX_SAFE_INTEGER };
  const [one, other] = [await budgets.reserve([budget], tokens(1)), await budgets.reserve([budget], tokens(1))];
  one.settle(all);
  other.settle(all);
  await budgets.stop();
  expect(await budgets.look([budget])).toMatchObject([{ used: all, reserved: nothing }]);
  const cheap = { tokens: 0, nanoUsd: 1 };
  await expect(budgets.reserve([budget], cheap)).rejects.toMatchObject({ code: 'limit-exceeded' });
});

test('the end of a call without usage is written', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('task.over', { tokens: 100 });
  const reserved = async () => (await budgets.look([budget]))[0]?.reserved;
  const reservation = await budgets.reserve([budget], tokens(30));
  expect(await reserved()).toEqual(tokens(30));
  reservation.settle(nothing);
  await eventually(
    async () => {
      // Makes further calls, so that the account isn't idle when it is written.
      (await budgets.reserve([budget], tokens(1))).settle(nothing);
      return (await reserved())?.tokens === 0;
    },
    { timeoutMs: 8_000 },
  );
  await budgets.stop();
});

test('a rejected call leaves no data', async () => {
  const budgets = new Budgets(bus, 'g1');
  const [poor, rich] = [budgetOf('token.poor', { tokens: 1 }), budgetOf('tenant.poor', { tokens: 1_000 })];
  await expect(budgets.reserve([poor], tokens(100))).rejects.toMatchObject({ code: 'limit-exceeded' });
  await expect(budgets.reserve([poor, rich], tokens(2_000))).rejects.toMatchObject({ code: 'limit-exceeded' });
  await budgets.stop();
  expect([await stored('token.poor'), await stored('tenant.poor')]).toEqual([null, null]);
});

test('a budget of one call is kept in memory, separately for each call', async () => {
  const budgets = new Budgets(bus, 'g1');
  const ofCall = (): Budget => ({ ...budgetOf('call.one', { tokens: 100 }), ofOneCall: true });
  const one = ofCall();
  (await budgets.reserve([one], tokens(80))).settle(tokens(30));
  const more = await budgets.reserve([one], tokens(70));
  await expect(budgets.reserve([one], tokens(1))).rejects.toMatchObject({
    code: 'limit-exceeded',
    details: { budget: 'call.one', spent: { tokens: 30 } },
  });
  more.settle(tokens(60));
  (await budgets.reserve([one], tokens(10))).settle(tokens(10));
  await expect(budgets.reserve([one], tokens(1))).rejects.toThrow('it has 0 of 100 tokens left');
  (await budgets.reserve([ofCall()], tokens(100))).settle(tokens(100));
  await budgets.stop();
  expect(await stored('call.one')).toBeNull();
});

test('a call that accepts less gets the free amount of each budget, and the same amount in all of them', async () => {
  const budgets = new Budgets(bus, 'g1');
  const [wide, narrow] = [budgetOf('task.less', { tokens: 80 }), budgetOf('tenant.less', { tokens: 50 })];
  const shortages: [number, unknown][] = [];
  const less = {
    least: tokens(10),
    within: (free: Amount, why: CoppiceError) => {
      shortages.push([free.tokens, why.details?.['budget']]);
      return tokens(free.tokens - 1);
    },
    patient: true,
  };
  const reservation = await budgets.reserve([wide, narrow], tokens(100), less);
  expect(shortages).toEqual([
    [80, 'task.less'],
    [50, 'tenant.less'],
  ]);
  reservation.settle(tokens(20));
  (await budgets.reserve([wide, narrow], tokens(25))).settle(tokens(25));
  await expect(budgets.reserve([narrow], tokens(100), less)).rejects.toMatchObject({ code: 'limit-exceeded' });
  await budgets.stop();
  expect(await stored('tenant.less')).toMatchObject({ spent: tokens(45) });
});

test('an amount that one process has leased and does not need goes to another process that requests it', async () => {
  const [one, other] = [new Budgets(bus, 'g1'), new Budgets(bus, 'g2')];
  const budget = budgetOf('task.shared', { tokens: 1_000 });
  await bus.flush();
  (await one.reserve([budget], tokens(100))).settle(tokens(10));
  const rest = await other.reserve([budget], tokens(990));
  rest.settle(tokens(990));
  await Promise.all([one.stop(), other.stop()]);
  expect(await stored('task.shared')).toMatchObject({ spent: tokens(1_000) });
});

test('money is counted to a billionth of a dollar', async () => {
  const budgets = new Budgets(bus, 'g1');
  const budget = budgetOf('task.money', { costUsd: 0.000001 });
  (await budgets.reserve([budget], { tokens: 5, nanoUsd: 700 })).settle({ tokens: 5, nanoUsd: 401 });
  await expect(budgets.reserve([budget], { tokens: 5, nanoUsd: 700 })).rejects.toThrow(
    'it has 0.000000599 of 0.000001 US dollars left, and the next turn may need 0.0000007',
  );
  await budgets.stop();
});

test('settled usage is written even if no further call follows', async () => {
  const budgets = new Budgets(bus, 'g1');
  (await budgets.reserve([budgetOf('task.settled', { tokens: 100 })], tokens(100))).settle(tokens(30));
  await eventually(async () => ((await stored('task.settled')) as { spent: { tokens: number } }).spent.tokens === 30);
  await budgets.stop();
});

const budgetsThrough = (between: Partial<KeyValue>, messages?: object) => budgetsOn(bus, between, messages);

test('a change whose confirmation was lost is not written twice', async () => {
  const real = bus.keyValue(buckets.budgets);
  let updates = 0;
  const budgets = budgetsThrough({
    update: async (...update) => {
      const revision = await real.update(...update);
      if (updates++ === 0) throw new Error('no answer');
      return revision;
    },
  });
  const budget = budgetOf('task.doubt', { tokens: 100 });
  (await budgets.reserve([budget], tokens(40))).settle(tokens(30));
  // The write succeeds, but its confirmation is lost. The next call requests the same amount again.
  await expect(budgets.reserve([budget], tokens(50))).rejects.toMatchObject({ code: 'unavailable' });
  (await budgets.reserve([budget], tokens(50))).settle(tokens(20));
  await budgets.stop();
  expect(await stored('task.doubt')).toMatchObject({ spent: tokens(50) });
});

test('a change that is written after the account was read is not written twice', async () => {
  const real = bus.keyValue(buckets.budgets);
  let late: (() => Promise<unknown>) | null = null;
  let updates = 0;
  const budgets = budgetsThrough({
    get: async (key) => {
      const entry = await real.get(key);
      await late?.();
      late = null;
      return entry;
    },
    update: async (...update) => {
      if (updates++ > 0) return real.update(...update);
      late = () => real.update(...update);
      throw new Error('no answer');
    },
  });
  const budget = budgetOf('task.late', { tokens: 100 });
  (await budgets.reserve([budget], tokens(40))).settle(tokens(30));
  await expect(budgets.reserve([budget], tokens(50))).rejects.toMatchObject({ code: 'unavailable' });
  (await budgets.reserve([budget], tokens(50))).settle(tokens(20));
  await budgets.stop();
  expect(await stored('task.late')).toMatchObject({ spent: tokens(50) });
});

test('a lease that may have been returned is no longer used', async () => {
  const real = bus.keyValue(buckets.budgets);
  let losesConfirmations = false;
  const update: KeyValue['update'] = async (...change) => {
    const revision = await real.update(...change);
    if (losesConfirmations) throw new Error('no answer');
    return revision;
  };
  const messages = { subscribeCore: bus.subscribeCore.bind(bus), publishCore: bus.publishCore.bind(bus) };
  const one = budgetsThrough({ update }, messages);
  const other = new Budgets(bus, 'g2');
  const budget = budgetOf('task.returned', { tokens: 100_000 });
  await bus.flush();
  const first = await one.reserve([budget], tokens(1_000));
  losesConfirmations = true;
  const second = await other.reserve([budget], tokens(99_000));
  losesConfirmations = false;
  await expect(one.reserve([budget], tokens(3_000))).rejects.toMatchObject({ code: 'provider-limited' });
  first.settle(tokens(1_000));
  second.settle(tokens(99_000));
  await Promise.all([one.stop(), other.stop()]);
  expect(await stored('task.returned')).toMatchObject({ spent: tokens(100_000) });
});

test('the reservation of a rejected call is released although its write succeeded', async () => {
  const real = bus.keyValue(buckets.budgets);
  const budgets = budgetsThrough({
    create: async (...create) => {
      await real.create(...create);
      throw new Error('no answer');
    },
  });
  const budget = budgetOf('task.unconfirmed', { tokens: 100 });
  await expect(budgets.reserve([budget], tokens(90))).rejects.toMatchObject({ code: 'unavailable' });
  expect(await budgets.look([budget])).toMatchObject([{ reserved: tokens(90) }]);
  await budgets.stop();
  expect(await budgets.look([budget])).toMatchObject([{ used: nothing, reserved: nothing }]);
});

test('no usage is lost if a write takes longer than idle accounts are kept', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const real = bus.keyValue(buckets.budgets);
  const [writing, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const budgets = budgetsThrough({
    create: async (...create) => {
      writing.resolve();
      await slow.promise;
      return real.create(...create);
    },
  });
  try {
    const budget = budgetOf('task.slow', { tokens: 10_000 });
    const reserving = budgets.reserve([budget], tokens(4_000));
    await writing.promise;
    vi.advanceTimersByTime(8_000);
    slow.resolve();
    (await reserving).settle(tokens(4_000));
    await expect(budgets.reserve([budget], tokens(9_000))).rejects.toMatchObject({ code: 'limit-exceeded' });
  } finally {
    vi.useRealTimers();
    await budgets.stop();
  }
  expect(await stored('task.slow')).toMatchObject({ spent: tokens(4_000) });
});

test('a call that reserved nothing is charged, however long it takes', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const budgets = budgetsThrough({});
  try {
    const budget = budgetOf('task.free', { tokens: 100 });
    const reservation = await budgets.reserve([budget], nothing);
    // Long enough for the gateway to return the lease and to treat the account as idle.
    for (let seconds = 0; seconds < 10; seconds++) {
      vi.advanceTimersByTime(1_000);
      await budgets.look([budget]);
    }
    reservation.settle(tokens(7));
    await budgets.reserve([budget], nothing);
  } finally {
    vi.useRealTimers();
    await budgets.stop();
  }
  expect(await stored('task.free')).toMatchObject({ spent: tokens(7) });
});
