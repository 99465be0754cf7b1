/** Calls that draw on one budget at once. Arguments: the server's address, this process's name, how many calls, the budget's tokens. Prints what became of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { Budgets } from '../money/budgets.ts';
import type { Reservation } from '../money/budgets.ts';

const [servers = '', holder = '', calls = '0', tokens = '0'] = process.argv.slice(2);
const bus = await Bus.connect({ ...(JSON.parse(servers) as { servers: string }), name: holder });
const budgets = new Budgets(bus, holder);
const budget = { key: 'task.t1', name: 'task t1', limit: { tokens: Number(tokens) }, forgottenAfterMs: null };
const wanted = 100;

/** As often as only calls in flight have reserved what is left. */
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
    // No two alike, and never more than was reserved.
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
