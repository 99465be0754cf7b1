/** Makes calls through the exchange, with budgets in a real bucket. */
import type { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { prepareExchanges } from '../routing/collaborators.ts';
import { startExchange } from '../routing/exchange.ts';
import type { Call } from '../routing/exchange.ts';
import { Budgets } from '../budget/budgets.ts';
import { pricesFrom } from '../budget/prices.ts';
import { budgetsOf } from '../budget/budgets-of-account.ts';
import type { ModelDelta, Provider } from '../provider/port.ts';

export const used = (inputTokens: number, outputTokens: number): ModelDelta => ({
  type: 'usage',
  usage: { inputTokens, outputTokens },
});
/** Prices of one US dollar per thousand tokens. */
export const prices = pricesFrom({ own: [{ model: 'acme/*', input: 1_000, output: 1_000 }], baseUrlOf: () => null });
let gateways = 0;
/**
 * Makes a call for a task with these limits. Each call uses a new gateway. Returns the call's error and the stored
 * `spent` of the task's budget.
 */
export async function chargedCall(
  bus: Bus,
  provider: Provider | readonly Provider[],
  taskId: string,
  limits: object,
  { model = 'acme/one', ...rest }: Partial<Omit<Call, 'model'>> & { model?: string } = {},
  known = prices,
) {
  const budgets = new Budgets(bus, `g-${taskId}-${++gateways}`);
  const owner = { tenant: 'acme', runId: 'r1', taskId };
  const exchanges = prepareExchanges({
    providers: [provider].flat(),
    aliases: [{ name: 'fast', candidates: ['dear/one', 'acme/one'], strategy: 'order' }],
    prices: known,
    budgets,
    retry: { pauseMsMin: 1, pauseMsMax: 2 },
  });
  const exchange = startExchange(exchanges, {
    model: exchanges.routes.resolve(model),
    request: {
      messages: [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(30) }] }],
      tools: [],
      settings: { maxOutputTokens: 90 },
    },
    context: { owner, effectId: `task_${taskId}_1_1`, signal: new AbortController().signal },
    endsAtMs: Date.now() + 20_000,
    budgets: budgetsOf({ owner, limits: { task: limits, run: {} } }, [], new Date()),
    ...rest,
  });
  let error: unknown = null;
  try {
    for await (const deltas of exchange.deltas) void deltas;
  } catch (thrown) {
    error = thrown;
  }
  await budgets.stop();
  const entry = await bus.keyValue(buckets.budgets).get(`task.acme.${taskId}`);
  const spent: unknown =
    entry === null ? null : (JSON.parse(new TextDecoder().decode(entry.value)) as { spent: unknown }).spent;
  return { error, spent };
}
