import fc from 'fast-check';
import { expect, test } from 'vitest';
import { accountLimits, accountSchema, emptyAccount, settle } from './account.ts';
import type { Account, Turnover } from './account.ts';
import { amountOf, nanoUsdOf, nothing, plus, sumOf } from './amount.ts';
import type { Amount } from './amount.ts';

const leaseMs = 1_000;
const tokens = (count: number): Amount => ({ tokens: count, nanoUsd: 0 });
const turnover = (rest: Partial<Turnover>): Turnover => ({
  holder: 'a',
  number: 1,
  limit: amountOf({ tokens: 1_000 }),
  used: nothing,
  reserved: nothing,
  wanted: null,
  ahead: false,
  nowMs: 0,
  leaseMs,
  ...rest,
});

test('the requested amount is leased with a spare amount for later calls, and usage is added to spent', () => {
  const first = settle(emptyAccount, turnover({ wanted: tokens(100), ahead: true }));
  expect(first).toMatchObject({ granted: true, lease: tokens(131) });
  const settled = settle(first.account, turnover({ used: tokens(60), number: 2 }));
  expect(settled.account).toEqual({
    spent: tokens(60),
    leases: { a: { amount: nothing, reserved: nothing, endsAtMs: leaseMs, turnover: 2 } },
    ended: {},
  });
  expect(settle(settled.account, turnover({ number: 3 })).account.leases).toEqual({});
});

test('a request for more than the free amount is rejected, and the free amount is reported', () => {
  const held = settle(emptyAccount, turnover({ wanted: tokens(900), ahead: true })).account;
  expect(held.leases['a']?.amount).toEqual(tokens(912));
  const other = (wanted: number) => settle(held, turnover({ holder: 'b', wanted: tokens(wanted) }));
  expect(other(88)).toMatchObject({ granted: true, lease: tokens(88) });
  expect(other(100)).toMatchObject({ granted: false, free: { tokens: 88 }, lease: nothing });
});

test('an expired lease is returned, except for the amount that calls in flight had reserved', () => {
  const held = settle(emptyAccount, turnover({ wanted: tokens(900), ahead: true })).account;
  const later = settle(held, turnover({ holder: 'b', wanted: tokens(100), nowMs: leaseMs + 1 }));
  expect(later).toMatchObject({ granted: true, account: { spent: tokens(900) } });
  expect(Object.keys(later.account.leases)).toEqual(['b']);
});

test('a holder that returns after its lease expired is charged its usage instead of its reservations', () => {
  const held = settle(emptyAccount, turnover({ wanted: tokens(500) })).account;
  const nowMs = leaseMs + 1;
  const judged = settle(held, turnover({ holder: 'b', wanted: tokens(100), nowMs })).account;
  expect(judged.spent).toEqual(tokens(500));
  // One of the holder's calls has ended, another is still in flight.
  const back = settle(judged, turnover({ used: tokens(150), reserved: tokens(300), number: 2, nowMs }));
  expect(back).toMatchObject({ account: { spent: tokens(150) }, free: { tokens: 450 }, lease: tokens(300) });
  const settled = settle(back.account, turnover({ used: tokens(200), number: 3, nowMs }));
  expect(settled.account.spent).toEqual(tokens(350));
  expect(settled.account.ended).toEqual({});
});

test('ended leases are kept for a limited time, and only for a limited number of holders', () => {
  let account: Account = emptyAccount;
  for (let index = 0; index < 40; index++) {
    const nowMs = index * (leaseMs + 1);
    account = settle(account, turnover({ holder: `h${index}`, wanted: tokens(1), nowMs })).account;
  }
  expect(Object.keys(account.ended)).toHaveLength(accountLimits.endedMax);
  expect(account.ended).toHaveProperty('h38');
  const nowMs = 40 * leaseMs + 2 * accountLimits.endedMs;
  account = settle(account, turnover({ holder: 'last', wanted: tokens(1), nowMs })).account;
  expect(account.spent).toEqual(tokens(40));
  expect(account.ended).toEqual({});
});

test('an account of an earlier version, without ended leases, can be read', () => {
  expect(accountSchema.parse({ spent: tokens(5), leases: {} })).toEqual({ spent: tokens(5), leases: {}, ended: {} });
});

test('money is counted in addition to tokens, and no spare amount is leased for counts without a limit', () => {
  const limit = amountOf({ costUsd: 0.001 });
  const wanted = { tokens: 5_000_000, nanoUsd: nanoUsdOf(0.0004) };
  const first = settle(emptyAccount, turnover({ limit, wanted, ahead: true }));
  expect(first).toMatchObject({ granted: true, lease: { tokens: 5_000_000 } });
  expect(settle(first.account, turnover({ limit, wanted: { tokens: 1, nanoUsd: 700_000 }, holder: 'b' })).granted).toBe(
    false,
  );
});

test('amounts are rounded up to a billionth of a dollar, and whole billionths stay the same', () => {
  expect([0, 1e-9, 1.5e-9, 0.000003, 12.34].map(nanoUsdOf)).toEqual([0, 1, 2, 3_000, 12_340_000_000]);
});

/** Holders reserve, settle, report usage and crash in any order. */
test('whatever holders do, spent and leases together do not exceed the limit', () => {
  const step = fc.record({
    holder: fc.constantFrom('a', 'b', 'c'),
    act: fc.constantFrom('reserve', 'settle', 'write', 'die', 'wait'),
    amount: fc.integer({ min: 1, max: 400 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let account: Account = emptyAccount;
      let nowMs = 0;
      const holders = new Map<string, { reserved: number[]; used: number; number: number }>();
      for (const { holder, act, amount } of steps) {
        const state = holders.get(holder) ?? { reserved: [], used: 0, number: 0 };
        holders.set(holder, state);
        if (act === 'die') holders.delete(holder);
        if (act === 'wait') nowMs += leaseMs / 2 + 1;
        if (act === 'settle') state.used += Math.min(state.reserved.shift() ?? 0, amount);
        if (act !== 'reserve' && act !== 'write') continue;
        const outcome = settle(
          account,
          turnover({
            holder,
            number: ++state.number,
            used: tokens(state.used),
            reserved: tokens(state.reserved.reduce((sum, each) => sum + each, 0)),
            wanted: act === 'reserve' ? tokens(amount) : null,
            ahead: amount % 2 === 0,
            nowMs,
          }),
        );
        account = outcome.account;
        state.used = 0;
        if (act === 'reserve' && outcome.granted) state.reserved.push(amount);
        const leased = sumOf(Object.values(account.leases).map((lease) => lease.amount));
        // The lease of a holder that wrote too late has expired, so its calls in flight may exceed the limit.
        const late = [...holders.values()].reduce((sum, each) => sum + each.reserved.length * 400, 0);
        expect(plus(account.spent, leased).tokens).toBeLessThanOrEqual(nowMs === 0 ? 1_000 : 1_000 + late);
      }
    }),
  );
});

/** Holders may be suspended between any two of their steps. */
test('however often leases expire, usage is charged once', () => {
  const step = fc.record({
    holder: fc.constantFrom('a', 'b', 'c'),
    act: fc.constantFrom('reserve', 'settle', 'write', 'wait'),
    amount: fc.integer({ min: 1, max: 200 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let [account, nowMs, used, number]: [Account, number, number, number] = [emptyAccount, 0, 0, 0];
      const holders = new Map<string, { reserved: number[]; used: number }>();
      const write = (holder: string, wanted: Amount | null) => {
        const state = holders.get(holder) ?? { reserved: [], used: 0 };
        holders.set(holder, state);
        const usage = { used: tokens(state.used), reserved: sumOf(state.reserved.map(tokens)) };
        const outcome = settle(account, turnover({ holder, number: ++number, ...usage, wanted, nowMs }));
        account = outcome.account;
        state.used = 0;
        if (wanted !== null && outcome.granted) state.reserved.push(wanted.tokens);
      };
      const end = (holder: string, most: number) => {
        const state = holders.get(holder);
        const uses = Math.min(state?.reserved.shift() ?? 0, most);
        if (state !== undefined) state.used += uses;
        used += uses;
      };
      for (const { holder, act, amount } of steps) {
        if (act === 'wait') nowMs += leaseMs / 2 + 1;
        else if (act === 'settle') end(holder, amount);
        else write(holder, act === 'reserve' ? tokens(amount) : null);
      }
      for (const [holder, { reserved }] of holders) {
        while (reserved.length > 0) end(holder, 1);
        write(holder, null);
      }
      expect(account.spent).toEqual(tokens(used));
    }),
  );
});
