import { buckets } from '@coppice/contracts';
import { Claims } from '@coppice/bus';
import type { Bus, KeyValue } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import type { Logger } from '@coppice/telemetry';
import type { Reach } from './crash-points.ts';
import type { Census } from './census.ts';
import { hostLimits } from './limits.ts';
import type { HostLimits } from './limits.ts';

export type Clock = { now(): Date };

export type StoredChange = {
  kind: string;
  /** Context of the machine before the transition. Null if the transition creates the actor. */
  before: unknown;
  /** Events that the transition emits, in order. */
  events: readonly unknown[];
};

/**
 * Called after a transition is stored and before its outbox is published, at most once per transition. If the process
 * dies after storing, the call may be missing. Must not throw.
 */
export type OnStored = (change: StoredChange) => void;

export type HostParts = {
  bus: Bus;
  actors: KeyValue;
  claims: Claims;
  /** Milliseconds since 1970. */
  nowMs: () => number;
  limits: HostLimits;
  reach: Reach;
  onStored: OnStored;
  /** Called after each walk of the sweeper. */
  onCensus: (census: Census) => void;
  log: Logger;
};

export function hostParts(
  bus: Bus,
  options: {
    clock?: Clock;
    limits?: Partial<HostLimits>;
    reach?: Reach;
    onStored?: OnStored;
    onCensus?: (census: Census) => void;
  } = {},
): HostParts {
  return {
    bus,
    actors: bus.keyValue(buckets.actors),
    // Constant, since a host only cancels effects. A cancellation doesn't check whether the claim's owner is lost.
    claims: new Claims(bus, () => Promise.resolve(false)),
    nowMs: () => options.clock?.now().getTime() ?? Date.now(),
    limits: { ...hostLimits, ackWaitMs: bus.lostAfterMs, ...options.limits },
    reach: options.reach ?? (() => {}),
    onStored: options.onStored ?? (() => {}),
    onCensus: options.onCensus ?? (() => {}),
    log: createLogger('durable-actor'),
  };
}
