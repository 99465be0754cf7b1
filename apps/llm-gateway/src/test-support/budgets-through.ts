import type { Bus, KeyValue } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { Budgets } from '../budget/budgets.ts';

const deaf = { subscribeCore: () => ({ unsubscribe: () => {} }), publishCore: () => {} };

/**
 * Creates budgets on the real bucket. `between` replaces methods of the bucket. `messages` replaces the messages
 * between gateways, of which none are delivered by default.
 */
export function budgetsThrough(bus: Bus, between: Partial<KeyValue>, messages: object = deaf): Budgets {
  const real = bus.keyValue(buckets.budgets);
  const bucket = {
    get: (...get: Parameters<KeyValue['get']>) => real.get(...get),
    create: (...create: Parameters<KeyValue['create']>) => real.create(...create),
    update: (...update: Parameters<KeyValue['update']>) => real.update(...update),
    ...between,
  };
  return new Budgets({ ...messages, keyValue: () => bucket } as unknown as Bus, 'g1');
}
