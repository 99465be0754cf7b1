/** Limits of the stored data, the same for every host. */
export const actorLimits = {
  /** Bytes of one actor's stored value. */
  valueBytesMax: 256 * 1024,
  /** Bytes kept free in every value, so that a full actor can still be parked with a note beside its unchanged bytes. */
  parkingReserveBytes: 8 * 1024,
  /** Characters of kind and id together: they are part of effect ids, which are tokens of subjects and keys. */
  addressLengthMax: 180,
  /** Deferred events of an actor; further ones are rejected. */
  deferredMax: 64,
  /** Ids of events from outside that are remembered to drop duplicates. A duplicate that arrives after more than this many other events is applied again. */
  recentMessagesMax: 128,
  /** Ended effects that are kept for the next event. If there are more before it, only the first ones are reported. */
  stepsMax: 32,
  /** Microsteps of a machine within one transition. A cycle of raised events or eventless transitions ends there, and the message fails. */
  microstepsMax: 1_000,
  /** Maximum delay of a timer. */
  timerDelayMsMax: 30 * 24 * 3_600_000,
  /** Lifetime of a finished actor's tombstone: 30 days longer than the longest timer. */
  tombstoneTtlMs: 60 * 24 * 3_600_000,
  /** Maximum age of a `create`; an older one is not applied. */
  createAgeMsMax: 7 * 24 * 3_600_000,
} as const;

/** Limits and intervals of a host. Tests start hosts with others. */
export const hostLimits = {
  /** Attempts to handle a message when its compare-and-set fails; then the message is redelivered. */
  compareAndSetAttemptsMax: 10,
  /** Deliveries of a message before it becomes a dead letter. */
  deliveriesMax: 20,
  /** Pause before a message on which the machine failed is redelivered; doubles from min to max. All deliveries together take two minutes. */
  retryDelayMsMin: 100,
  retryDelayMsMax: 10_000,
  /** The pause after any other failure, such as a bus outage: an outage of 15 minutes costs no message. */
  outageDelayMsMin: 500,
  outageDelayMsMax: 60_000,
  /** Time after which an unacknowledged message is redelivered. Handling is short: no long work runs here. */
  ackWaitMs: 30_000,
  /** Tries and total time for an event to an actor that doesn't exist yet. The pause starts at the minimum and doubles. */
  absentTriesMax: 10,
  absentDelayMsMin: 1_000,
  absentAgeMsMax: 3_600_000,
  /** Pause between two walks of the sweeper over all actors. */
  sweepIntervalMs: 30_000,
  /** Actors that the sweeper reads in a second. */
  sweepReadsPerSecond: 200,
  /** Time that the sweeper leaves an overdue timer to arrive by itself. */
  sweepGraceMs: 5_000,
  /** Finished actors that the sweeper doesn't read again. It forgets all of them when there are more, and after this time. */
  rememberedTombstonesMax: 100_000,
  rememberedTombstonesMs: 24 * 3_600_000,
  /** Lifetime of the sweeper's lease unless renewed. */
  sweepLeaseMs: 30_000,
  /** Actors whose last published revision a host remembers, so that it needs no check whether their outbox is published. */
  rememberedDispatchesMax: 20_000,
};

export type HostLimits = typeof hostLimits;
