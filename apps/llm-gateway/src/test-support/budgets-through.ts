import type { Bus, KeyValue } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
import { Budgets } from '../money/budgets.ts';

const deaf = { subscribeCore: () => ({ unsubscribe: () => {} }), publishCore: () => {} };

/** Budgets of their own on the real bucket, with something between; who asks them to give something back isn't heard, unless by `messages`. */
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
