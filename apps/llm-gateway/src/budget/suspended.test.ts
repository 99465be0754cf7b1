/** Tests a gateway whose host was suspended for longer than the lifetime of its leases. */
import { Bus } from '@coppice/bus';
import type { KeyValue } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { budgetsThrough } from '../test-support/budgets-through.ts';
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
afterEach(() => vi.restoreAllMocks());

const tokens = (count: number) => ({ tokens: count, nanoUsd: 0 });
const budgetOf = (key: string, limit: number): Budget => ({
  key,
  name: key,
  limit: { tokens: limit },
  forgottenAfterMs: null,
});
async function spent(key: string): Promise<number> {
  const entry = await bus.keyValue(buckets.budgets).get(key);
  const account = JSON.parse(new TextDecoder().decode(entry?.value)) as { spent: { tokens: number } };
  return account.spent.tokens;
}
/** Advances the clock of both gateways by a minute. One of them was suspended for that minute. */
function passAMinute(): void {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 60_000);
}

test('its calls are charged their usage, although their reservations were charged before', async () => {
  const [suspended, other] = [new Budgets(bus, 'g1'), new Budgets(bus, 'g2')];
  const budget = budgetOf('task.suspended', 1_000);
  const over = await suspended.reserve([budget], tokens(400));
  const cancelled = await suspended.reserve([budget], tokens(300));
  passAMinute();
  (await other.reserve([budget], tokens(50))).settle(tokens(50));
  // The other gateway can't know what the calls of the suspended gateway used.
  expect(await spent('task.suspended')).toBe(700);
  over.settle(tokens(150));
  await eventually(async () => (await spent('task.suspended')) === 200);
  cancelled.settle(tokens(0));
  await Promise.all([suspended.stop(), other.stop()]);
  expect(await spent('task.suspended')).toBe(200);
});

test('it is charged nothing if its only call used nothing', async () => {
  const [suspended, other] = [new Budgets(bus, 'g1'), new Budgets(bus, 'g2')];
  const budget = budgetOf('task.nothing', 1_000);
  const cancelled = await suspended.reserve([budget], tokens(400));
  passAMinute();
  (await other.reserve([budget], tokens(50))).settle(tokens(50));
  cancelled.settle(tokens(0));
  await Promise.all([suspended.stop(), other.stop()]);
  expect(await spent('task.nothing')).toBe(50);
});

test('it grants nothing from a lease that other gateways have now', async () => {
  const [suspended, other] = [new Budgets(bus, 'g1'), new Budgets(bus, 'g2')];
  const budget = budgetOf('task.passed-on', 100_000);
  (await suspended.reserve([budget], tokens(1_000))).settle(tokens(1_000));
  passAMinute();
  const rest = await other.reserve([budget], tokens(98_500));
  await expect(suspended.reserve([budget], tokens(1_000))).rejects.toMatchObject({ code: 'provider-limited' });
  rest.settle(tokens(98_500));
  await Promise.all([suspended.stop(), other.stop()]);
  expect(await spent('task.passed-on')).toBe(99_500);
});

test('usage that it wrote before without a confirmation is not charged again', async () => {
  const real = bus.keyValue(buckets.budgets);
  let isCutOff = false;
  const update: KeyValue['update'] = async (...change) => {
    const revision = await real.update(...change);
    if (isCutOff) throw new Error('no answer');
    return revision;
  };
  const [suspended, other] = [budgetsThrough(bus, { update }), new Budgets(bus, 'g2')];
  const budget = budgetOf('task.doubt', 1_000);
  (await suspended.reserve([budget], tokens(400))).settle(tokens(150));
  isCutOff = true;
  await expect(suspended.reserve([budget], tokens(500))).rejects.toMatchObject({ code: 'unavailable' });
  isCutOff = false;
  passAMinute();
  (await other.reserve([budget], tokens(50))).settle(tokens(50));
  await Promise.all([suspended.stop(), other.stop()]);
  expect(await spent('task.doubt')).toBe(200);
});
