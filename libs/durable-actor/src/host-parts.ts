import { buckets } from '@coppice/contracts';
import { Claims } from '@coppice/bus';
import type { Bus, KeyValue } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import type { Logger } from '@coppice/telemetry';
import type { Reach } from './crash-points.ts';
import { hostLimits } from './limits.ts';
import type { HostLimits } from './limits.ts';

export type Clock = { now(): Date };

/** What every part of a host works with. */
export type HostParts = {
  bus: Bus;
  actors: KeyValue;
  claims: Claims;
  /** Milliseconds since 1970. */
  nowMs: () => number;
  limits: HostLimits;
  reach: Reach;
  log: Logger;
};

export function hostParts(
  bus: Bus,
  options: { clock?: Clock; limits?: Partial<HostLimits>; reach?: Reach } = {},
): HostParts {
  return {
    bus,
    actors: bus.keyValue(buckets.actors),
    // Only cancels: it never needs to know whether an owner is lost.
    claims: new Claims(bus, () => Promise.resolve(false)),
    nowMs: () => options.clock?.now().getTime() ?? Date.now(),
    limits: { ...hostLimits, ackWaitMs: bus.lostAfterMs, ...options.limits },
    reach: options.reach ?? (() => {}),
    log: createLogger('durable-actor'),
  };
}
