/**
 * Makes concurrent calls that use one budget. Prints their total usage and the number of rejected calls. Arguments: the
 * connection settings as JSON, the name of this process, the number of calls, and the limit of the budget in tokens.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { Budgets } from '../budget/budgets.ts';
import type { Reservation } from '../budget/budget.ts';

const [servers = '', holder = '', calls = '0', tokens = '0'] = process.argv.slice(2);
const bus = await Bus.connect({ ...(JSON.parse(servers) as { servers: string }), name: holder });
const budgets = new Budgets(bus, holder);
const budget = { key: 'task.t1', name: 'task t1', limit: { tokens: Number(tokens) }, forgottenAfterMs: null };
const wanted = 100;

/** Retries while calls in flight have reserved the rest of the budget. */
async function reserve(): Promise<Reservation> {
  for (;;) {
    try {
      return await budgets.reserve([budget], { tokens: wanted, nanoUsd: 0 });
    } catch (error) {
      if (!(error instanceof CoppiceError && error.code === 'provider-limited')) throw error;
    }
  }
}

const one = async (call: number): Promise<number> => {
  try {
    const reservation = await reserve();
    await sleep((call * 7) % 30);
    // The amounts vary, but never exceed the reservation.
    const used = 40 + ((call * 13) % 60);
    reservation.settle({ tokens: used, nanoUsd: 0 });
    return used;
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'limit-exceeded') return 0;
    throw error;
  }
};
const used = await Promise.all(Array.from({ length: Number(calls) }, (_, call) => one(call)));
await budgets.stop();
await bus.close();
console.log(
  JSON.stringify({
    used: used.reduce((sum, each) => sum + each, 0),
    refused: used.filter((each) => each === 0).length,
  }),
);
