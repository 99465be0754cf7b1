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

/** One stored transition of an actor. */
export type StoredChange = {
  kind: string;
  /** The machine's context before the transition; null when the actor is created. */
  before: unknown;
  /** Events that the transition emits, in order. */
  events: readonly unknown[];
};

/**
 * Called for each transition after it is stored and before its outbox is published. Called at most once per transition, and not at all if the process dies
 * between the two. Must not throw.
 */
export type OnStored = (change: StoredChange) => void;

/** Dependencies shared by all parts of a host. */
export type HostParts = {
  bus: Bus;
  actors: KeyValue;
  claims: Claims;
  /** Milliseconds since 1970. */
  nowMs: () => number;
  limits: HostLimits;
  reach: Reach;
  onStored: OnStored;
  /** Called by the sweeper with the counts of each walk. */
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
    // A host uses claims only to cancel effects. That doesn't depend on whether an owner is lost, so this function's result doesn't matter.
    claims: new Claims(bus, () => Promise.resolve(false)),
    nowMs: () => options.clock?.now().getTime() ?? Date.now(),
    limits: { ...hostLimits, ackWaitMs: bus.lostAfterMs, ...options.limits },
    reach: options.reach ?? (() => {}),
    onStored: options.onStored ?? (() => {}),
    onCensus: options.onCensus ?? (() => {}),
    log: createLogger('durable-actor'),
  };
}
